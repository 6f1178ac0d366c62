"""A library that a Debian package installs under /usr."""

def system_library(name, libs, as_needed = True, defines = [], deps = []):
    """Links the shared (or, given as ":libx.a", static) libraries `libs`.

    Headers are not listed: they live in /usr/include, which every compiler searches and Bazel
    always allows. The price: Bazel does not see a package upgrade; run `bazel clean --expunge`
    after one.

    Args:
      name: the target, public.
      libs: what follows -l.
      as_needed: False keeps a library that no symbol refers to (an allocator).
      defines: preprocessor definitions for dependents.
      deps: other libraries that these need.
    """
    native.cc_library(
        name = name,
        defines = defines,
        linkopts = ["-Wl,--push-state," + ("--as-needed" if as_needed else "--no-as-needed")] +
                   ["-l" + lib for lib in libs] +
                   ["-Wl,--pop-state"],
        visibility = ["//visibility:public"],
        deps = deps,
    )
