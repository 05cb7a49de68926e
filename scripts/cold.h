/* Read before everything that mypyc writes (setup.py). What it calls only on the way out of a function that has failed is
   said to be cold, so that the compiler moves those ways out, two fifths of the code, to a place of their own: a server wakes
   to empty caches at each message, and the less code its way is scattered over the sooner it is through. */
#ifndef TANDEM_COLD_H
#define TANDEM_COLD_H
typedef struct _object PyObject;
__attribute__((cold)) void CPy_AddTraceback(const char *, const char *, int, PyObject *);
__attribute__((cold)) void CPy_TypeErrorTraceback(const char *, const char *, int, PyObject *, const char *, PyObject *);
__attribute__((cold)) void CPy_AttributeError(const char *, const char *, const char *, const char *, int, PyObject *);
__attribute__((cold)) static void CPy_DecRef(PyObject *);
__attribute__((cold)) static void CPy_XDecRef(void *);
#endif
