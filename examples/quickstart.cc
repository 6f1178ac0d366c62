// The smallest embedding: a durable engine in a directory, one append, one read.

#include <iostream>

#include "ursula/engine.h"
#include "ursula/outcome.h"
#include "ursula/sync.h"

namespace {

// Both that the engine decided and that the stream didn't refuse.
template <class Reply>
bool Succeeded(const ursula::Result<Reply>& result) {
  ursula::Status status = ursula::StatusOf(result);
  if (!status.ok()) std::cerr << status.ToString() << "\n";
  return status.ok();
}

}  // namespace

int main(int argc, char** argv) {
  ursula::EngineOptions options;
  options.data_dir = argc > 1 ? argv[1] : "./quickstart-data";
  auto engine = ursula::StreamEngine::Open(std::move(options));
  if (!engine.ok()) {
    std::cerr << engine.status().ToString() << "\n";
    return 1;
  }

  ursula::StreamId stream{.bucket = ursula::kUpstreamBucket, .name = "hello"};
  ursula::CreateRequest create{.stream = stream, .content_type = "text/plain"};
  auto created = ursula::Wait<ursula::CreateReply>(
      [&](auto done) { (*engine)->Create(create, std::move(done)); });
  if (!Succeeded(created)) return 1;

  ursula::AppendRequest append{.stream = stream, .messages = {ursula::Bytes::Copy("hello\n")}};
  auto appended = ursula::Wait<ursula::AppendReply>(
      [&](auto done) { (*engine)->Append(append, std::move(done)); });
  if (!Succeeded(appended)) return 1;

  ursula::ReadRequest read{.stream = stream};
  auto reply =
      ursula::Wait<ursula::ReadReply>([&](auto done) { (*engine)->Read(read, std::move(done)); });
  if (!Succeeded(reply)) return 1;
  for (const ursula::Bytes& part : reply->parts) std::cout << part.view();
  return 0;  // The destructor stops the engine; what was acknowledged is on disk.
}
