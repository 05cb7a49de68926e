/* A map from the caller's numbers (never 0) to objects: open addressing, linear probing. Not shared between threads. */
#ifndef TANDEM_TABLE_H
#define TANDEM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table {
    struct table_entry {
        uint64_t key; /* 0: free */
        void *value;
    } *entries;
    size_t count, room; /* `room` is 0 or a power of two, at most two thirds full */
};

void *table_get(const struct table *table, uint64_t key);
/* False when memory is exhausted. The key must not be in the table. */
bool table_put(struct table *table, uint64_t key, void *value);
void table_remove(struct table *table, uint64_t key);
/* One object after the other, from `*at` = 0 on; NULL behind the last. The table must not change in between. */
void *table_next(const struct table *table, size_t *at);
/* Any object of the table, NULL when it is empty. */
void *table_any(const struct table *table);
void table_free(struct table *table);

#endif
