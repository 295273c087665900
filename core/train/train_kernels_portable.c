#define KV_LEVEL portable
#define KV_LANES 4
#include "train/train_kernels_tmpl.h"
