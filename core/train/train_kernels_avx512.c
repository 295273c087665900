#define KV_LEVEL avx512
#define KV_LANES 16
#include "train/train_kernels_tmpl.h"
