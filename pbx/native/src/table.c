#include "table.h"

#include <stdlib.h>

static size_t home(const struct table *table, uint64_t key) {
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (table->room - 1);
}

static struct table_entry *find(const struct table *table, uint64_t key) {
    if (table->room == 0)
        return NULL;
    for (size_t at = home(table, key);; at = (at + 1) & (table->room - 1)) {
        if (table->entries[at].key == key)
            return &table->entries[at];
        if (table->entries[at].key == 0)
            return NULL;
    }
}

void *table_get(const struct table *table, uint64_t key) {
    struct table_entry *entry = key == 0 ? NULL : find(table, key);
    return entry == NULL ? NULL : entry->value;
}

static void insert(struct table *table, uint64_t key, void *value) {
    size_t at = home(table, key);
    while (table->entries[at].key != 0)
        at = (at + 1) & (table->room - 1);
    table->entries[at] = (struct table_entry){key, value};
    table->count++;
}

bool table_put(struct table *table, uint64_t key, void *value) {
    if (3 * (table->count + 1) > 2 * table->room) {
        struct table larger = {.room = table->room ? 2 * table->room : 16};
        larger.entries = calloc(larger.room, sizeof *larger.entries);
        if (larger.entries == NULL)
            return false;
        for (size_t i = 0; i < table->room; i++)
            if (table->entries[i].key != 0)
                insert(&larger, table->entries[i].key, table->entries[i].value);
        free(table->entries);
        *table = larger;
    }
    insert(table, key, value);
    return true;
}

void table_remove(struct table *table, uint64_t key) {
    struct table_entry *entry = find(table, key);
    if (entry == NULL)
        return;
    /* Close the hole, so that no chain of probes that led over it is cut. */
    size_t hole = (size_t)(entry - table->entries), mask = table->room - 1;
    for (size_t at = (hole + 1) & mask; table->entries[at].key != 0; at = (at + 1) & mask) {
        size_t wanted = home(table, table->entries[at].key);
        if (((at - wanted) & mask) >= ((at - hole) & mask)) {
            table->entries[hole] = table->entries[at];
            hole = at;
        }
    }
    table->entries[hole] = (struct table_entry){0, NULL};
    table->count--;
}

void *table_next(const struct table *table, size_t *at) {
    while (*at < table->room) {
        const struct table_entry *entry = &table->entries[(*at)++];
        if (entry->key != 0)
            return entry->value;
    }
    return NULL;
}

void *table_any(const struct table *table) {
    size_t at = 0;
    return table->count == 0 ? NULL : table_next(table, &at);
}

void table_free(struct table *table) {
    free(table->entries);
    *table = (struct table){0};
}
