/* Preloaded before OpenBLAS: takes every CPU for a Prescott, as OpenBLAS 0.3.21 does with those that are newer than
 * itself, until OPENBLAS_CORETYPE says otherwise. */
#include <cblas.h>
#include <stdlib.h>

char *openblas_get_corename(void)
{
    static char mistaken[] = "Prescott";
    char *chosen = getenv("OPENBLAS_CORETYPE");
    return chosen ? chosen : mistaken;
}
