"""The layer table: which module may use which.

A module is a folder. Keys are path prefixes; the longest one that fits a file names its module.
"""

# What stands for a dependency in an #include, longest prefix first.
INCLUDE_TO_DEPENDENCY = [
    ("absl/", "abseil"),
    ("benchmark/", "benchmark"),
    ("curl/", "curl"),
    ("fmt/", "spdlog"),
    ("fuse3/", "fuse3"),
    ("gmock/", "googletest"),
    ("google/protobuf/", "protobuf"),
    ("grpc/", "grpc"),
    ("grpcpp/", "grpc"),
    ("gtest/", "googletest"),
    ("isa-l", "isal"),
    ("liburing", "liburing"),
    ("linux/io_uring", "liburing"),
    ("llhttp", "llhttp"),
    ("mimalloc", "mimalloc"),
    ("openssl/", "openssl"),
    ("prometheus/", "prometheus_cpp"),
    ("simdjson", "simdjson"),
    ("spdlog/", "spdlog"),
    ("toml++/", "tomlplusplus"),
    ("zlib.h", "zlib"),
    ("zstd", "zstd"),
]

PUBLIC = "lib/include"
BASE = "lib/base"
# //lib:ursula and //server:... are sums of modules; //tests/support is what embedders test with.
PURE = ["lib/raft", "lib/stream", "lib/meta", "lib/cold", "server/protocol"]

# module -> (modules it may use, dependencies it may use). Every module may use itself.
LAYERS = {
    "lib/include": ([], []),
    "lib/base": ([PUBLIC], ["abseil", "isal"]),
    "lib/raft": ([PUBLIC, BASE], []),
    "lib/stream": ([PUBLIC, BASE], ["abseil", "simdjson"]),
    "lib/meta": ([PUBLIC, BASE], []),
    "lib/cold": ([PUBLIC, BASE, "lib/stream"], ["abseil"]),
    "lib/io": ([PUBLIC, BASE, "lib/io/uring"], ["abseil"]),
    "lib/io/uring": ([PUBLIC, BASE, "lib/io"], ["abseil", "liburing"]),
    "lib/storage": ([PUBLIC, BASE, "lib/io"], ["abseil"]),
    "lib/objects": ([PUBLIC, BASE, "lib/io"], ["abseil", "curl", "openssl"]),
    "lib/peers": ([PUBLIC, BASE, "lib/io"], ["abseil"]),
    "lib/group": (
        [PUBLIC, BASE, "lib/raft", "lib/stream", "lib/cold", "lib/storage", "lib/io", "lib/peers"],
        ["abseil"],
    ),
    "lib/engine": (
        # lib/stream: commands and queries only (docs/decisions/0001).
        [PUBLIC, BASE, "lib/group", "lib/meta", "lib/storage", "lib/objects", "lib/io",
         "lib/stream", "lib/peers"],
        ["abseil"],
    ),
    "lib/client": ([PUBLIC, BASE, "server/protocol"], ["abseil", "curl"]),
    "lib": (["lib"], []),
    "server/config": ([PUBLIC, BASE, "server/protocol"], ["abseil", "spdlog", "tomlplusplus"]),
    # zlib and zstd: pure functions on bytes (docs/decisions/0001).
    "server/protocol": ([PUBLIC, BASE], ["abseil", "simdjson", "zlib", "zstd"]),
    "server/http": (
        [PUBLIC, BASE, "server/protocol", "lib/io"],
        ["abseil", "llhttp", "openssl"],
    ),
    "server/peer": ([PUBLIC, BASE], ["abseil", "grpc", "openssl", "protobuf"]),
    # How the admin listener and ursulactl know each other.
    "server/auth": ([PUBLIC, BASE], ["openssl"]),
    "server/admin": (
        [PUBLIC, BASE, "server/auth", "server/protocol", "server/http", "lib/io"],
        ["abseil", "prometheus_cpp", "spdlog"],
    ),
    # server/config: the same values and the same secret's file as ursulad's options.
    "server/ctl": (
        [PUBLIC, BASE, "server/auth", "server/config", "server/protocol", "lib/client"],
        ["abseil", "llhttp", "simdjson"],
    ),
    "server": (
        ["lib", PUBLIC, BASE, "lib/io", "server/admin", "server/config", "server/ctl",
         "server/http", "server/peer", "server/protocol"],
        ["abseil", "mimalloc", "spdlog"],
    ),
    "examples": (["lib", PUBLIC, "tests/support"], []),
}


def module_of(path):
    """The module that a path (of a file, or a package) belongs to, or None outside the table."""
    parts = path.split("/")
    for count in range(len(parts), 0, -1):
        prefix = "/".join(parts[:count])
        if prefix in LAYERS:
            return prefix
    return None


def dependency_of_include(header):
    for prefix, dependency in INCLUDE_TO_DEPENDENCY:
        if header.startswith(prefix):
            return dependency
    return None


def may_use_module(user, used):
    if user == used or used in LAYERS[user][0]:
        return True
    # lib's own BUILD file sums up its modules.
    return user == "lib" and used.startswith("lib/")


def may_use_dependency(user, dependency):
    return dependency in LAYERS[user][1]


def package_may_use_dependency(package, dependency):
    """For BUILD files: one may build its subfolders too, whose includes are checked by file."""
    return any(may_use_dependency(module, dependency)
               for module in LAYERS if module == package or module.startswith(package + "/"))
