/* The peers' side of the program. */
#ifndef KV_CLI_ENGINES_H
#define KV_CLI_ENGINES_H

#include "ab/peer.h"
#include "cli/cli.h"
#include "plan/plan.h"

enum { ENGINE_PATH_SIZE = 3000 };

/* The folder of the environments and of the models that were written for them: $KVBENCH_PEERS, else build-peers in the
 * current folder. */
const char *engines_home(void);

/* Whether its environment is there; the path of its Python either way. */
bool engine_installed(const struct kv_engine *engine, char python[ENGINE_PATH_SIZE]);

/* Makes that environment from PyPI, unless it is there: the one thing that reaches for a network. Errors: IO. */
kv_status engine_install(const struct kv_engine *engine, struct kv_error *error);

/* Starts the arm's engine, with its weights and threads, on the files of the model in `folder`; where that is "" they are
 * found, written where they are not there yet, and the folder is filled in for the next call. Errors: UNSUPPORTED (it is
 * not installed), IO (it cannot be started, or cannot load the model), as kv_model_save. */
kv_status engine_start(const char *command, const struct model_options *model, char folder[ENGINE_PATH_SIZE],
                       const struct kv_arm *arm, struct kv_peer **peer, struct kv_error *error);

#endif
