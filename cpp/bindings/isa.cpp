// The instruction sets that both the processor and the operating system support. Loaded before any module that requires
// one.
#include <Python.h>

#if defined(__x86_64__)
#include <cpuid.h>

// Those of x86-64-v3 that not every compiler's __builtin_cpu_supports knows.
static bool has_lzcnt_movbe_f16c() {
    unsigned a, b, basic, extended, d;
    return __get_cpuid(1, &a, &b, &basic, &d) && __get_cpuid(0x80000001, &a, &b, &extended, &d) &&
           (basic & bit_MOVBE) && (basic & bit_F16C) && (extended & bit_LZCNT);
}
#endif

static PyObject* supported(PyObject*, PyObject*) {
#if defined(__x86_64__)
    __builtin_cpu_init();  // also reads XGETBV: excludes register sets that the system does not save
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && has_lzcnt_movbe_f16c();
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    if (v4) return Py_BuildValue("(sss)", "x86_64_v4", "x86_64_v3", "x86_64");
    if (v3) return Py_BuildValue("(ss)", "x86_64_v3", "x86_64");
    return Py_BuildValue("(s)", "x86_64");
#else
    return Py_BuildValue("(s)", "generic");
#endif
}

static PyMethodDef methods[] = {
    {"supported", supported, METH_NOARGS, "Names of the extension modules that can run here, best first."},
    {nullptr, nullptr, 0, nullptr}};

#ifdef Py_GIL_DISABLED
static PyModuleDef_Slot slots[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, nullptr}};
#else
static PyModuleDef_Slot slots[] = {{0, nullptr}};
#endif

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_isa", nullptr, 0, methods, slots, nullptr, nullptr, nullptr};

// NOLINTNEXTLINE(bugprone-reserved-identifier): the name that Python looks for
PyMODINIT_FUNC PyInit__isa() { return PyModuleDef_Init(&definition); }
