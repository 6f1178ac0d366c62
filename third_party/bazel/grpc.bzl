"""protoc and grpc_cpp_plugin from Debian, as a macro over genrule."""

def cc_grpc_library(name, srcs, proto_deps = [], deps = [], grpc = True, mocks = False, visibility = None):
    """Generates and compiles C++ for .proto files of this package.

    Paths are relative to the workspace on both sides: server/peer/peer.proto says
    `import "server/peer/frame.proto"` and C++ says `#include "server/peer/peer.grpc.pb.h"`.

    Args:
      name: the cc_library.
      srcs: .proto files of this package.
      proto_deps: further .proto files that srcs import.
      deps: the cc_grpc_library targets that compile proto_deps.
      grpc: also generate services.
      mocks: also generate *_mock.grpc.pb.h (gmock).
      visibility: as usual.
    """
    stems = [s[:-len(".proto")] for s in srcs]
    hdrs = [s + ".pb.h" for s in stems]
    ccs = [s + ".pb.cc" for s in stems]
    flags = "--cpp_out=$(GENDIR)"
    if grpc:
        hdrs += [s + ".grpc.pb.h" for s in stems]
        ccs += [s + ".grpc.pb.cc" for s in stems]
        flags += " --plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin"
        flags += " --grpc_out=%s$(GENDIR)" % ("generate_mock_code=true:" if mocks else "")
        if mocks:
            hdrs += [s + "_mock.grpc.pb.h" for s in stems]
    native.genrule(
        name = name + "_codegen",
        srcs = srcs + proto_deps,
        outs = hdrs + ccs,
        cmd = "/usr/bin/protoc -I. %s %s" % (
            flags,
            " ".join(["$(execpath %s)" % s for s in srcs]),
        ),
        message = "Generating C++ for",
    )
    native.cc_library(
        name = name,
        srcs = ccs,
        hdrs = hdrs,
        copts = ["-w"],  # generated code is not held to our warnings
        deps = deps + ["//third_party/grpc" if grpc else "//third_party/protobuf"],
        visibility = visibility,
    )
