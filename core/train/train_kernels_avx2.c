#define KV_LEVEL avx2
#define KV_LANES 8
#include "train/train_kernels_tmpl.h"
