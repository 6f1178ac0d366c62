// An application whose abseil is not the one that libursula was built with. It opens an engine of
// its own and runs the quickstart, which opens another, beside it.
//
// usage: embedder DIR_OF_THE_QUICKSTART DIR

#include <iostream>
#include <string>

#include "absl/strings/string_view.h"
#include "ursula/engine.h"
#include "ursula/sync.h"

static_assert(ABSL_LTS_RELEASE_VERSION == 20990101, "the application's own abseil comes first");

int Quickstart(int argc, char** argv);  // examples/quickstart.cc, its main renamed.

namespace {

// The tail of the one stream, after appending a byte.
ursula::Result<ursula::AppendReply> AppendOne(ursula::StreamEngine& engine) {
  ursula::StreamId stream{.bucket = ursula::kUpstreamBucket, .name = "own"};
  ursula::CreateRequest create{.stream = stream};
  auto created =
      ursula::Wait<ursula::CreateReply>([&](auto done) { engine.Create(create, std::move(done)); });
  if (!created.ok()) return created.status();
  ursula::AppendRequest append{.stream = stream, .messages = {ursula::Bytes::Copy("x")}};
  return ursula::Wait<ursula::AppendReply>(
      [&](auto done) { engine.Append(append, std::move(done)); });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  absl::string_view word = absl::Take("engines");
  ursula::EngineOptions options;
  options.data_dir = argv[2];
  auto engine = ursula::StreamEngine::Open(std::move(options));
  if (!engine.ok()) {
    std::cerr << engine.status().ToString() << "\n";
    return 1;
  }
  auto before = AppendOne(**engine);
  if (int status = Quickstart(argc, argv); status != 0) return status;
  auto after = AppendOne(**engine);
  if (!before.ok() || !after.ok()) return 1;
  std::cout << "version " << ursula::Version() << ", two " << std::string(word.begin, word.size)
            << ", " << after->tail.bytes << " bytes, " << absl::base_internal::calls
            << " calls of the other abseil\n";
  return 0;
}
