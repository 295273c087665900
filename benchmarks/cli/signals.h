/* Being asked to stop: a command ends after what it is doing, the second time at once. */
#ifndef KV_CLI_SIGNALS_H
#define KV_CLI_SIGNALS_H

/* From now on SIGINT, SIGTERM and SIGHUP are remembered, unless the caller ignores them. On the first one `notice`, a
 * text that stays, is written to stderr (NULL: nothing); a second one ends the program. */
void signals_listen(const char *notice);

/* The signal that came, 0: none. */
int signals_received(void);

/* A text that stays, written to stdout when a second signal ends the program: what puts a terminal back; NULL: none. */
void signals_last_words(const char *last_words);

#endif
