#include "server/peer/rpc.h"

#include <string>
#include <system_error>
#include <utility>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#include "lib/base/check.h"

namespace ursula::peer {

namespace {

void Finish(void* tag, bool ok) {
  TakeOver(tag);
  static_cast<Tag*>(tag)->done(ok);
}

Bytes* Keep(const Bytes& part) {
  auto* kept = new Bytes(part);
  HandOver(kept);
  return kept;
}

void LetGo(void* kept) {
  TakeOver(kept);
  delete static_cast<Bytes*>(kept);
}

}  // namespace

#ifdef __SANITIZE_THREAD__
void HandOver(void* what) { __tsan_release(what); }
void TakeOver(void* what) { __tsan_acquire(what); }
#else
void HandOver(void* /*what*/) {}
void TakeOver(void* /*what*/) {}
#endif

bool StartThread(std::thread* thread, Function<void()> work) {
  try {
    *thread = std::thread([work = std::move(work)]() mutable { work(); });
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

Poller::Poller(std::unique_ptr<grpc::ServerCompletionQueue> queue) : queue_(std::move(queue)) {}

Poller::~Poller() { URSULA_CHECK(!thread_.joinable()); }

bool Poller::Start() {
  return StartThread(&thread_, [this] {
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) Finish(tag, ok);
  });
}

void Poller::Stop() {
  queue_->Shutdown();
  if (thread_.joinable()) {
    thread_.join();
    return;
  }
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) Finish(tag, ok);
}

void OpenCalls::Enter() {
  std::lock_guard lock(mutex_);
  ++count_;
}

void OpenCalls::Leave() {
  std::lock_guard lock(mutex_);
  URSULA_CHECK(count_ > 0);
  if (--count_ == 0) none_.notify_all();
}

void OpenCalls::AwaitNone() {
  std::unique_lock lock(mutex_);
  none_.wait(lock, [this] { return count_ == 0; });
}

grpc::ByteBuffer BorrowedBuffer(const std::vector<Bytes>& parts) {
  std::vector<grpc::Slice> slices;
  slices.reserve(parts.size());
  for (const Bytes& part : parts) {
    // gRPC reads it only; its slices know no const.
    slices.emplace_back(const_cast<char*>(part.data()), part.size(), LetGo, Keep(part));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

grpc::ByteBuffer CopiedBuffer(std::string_view bytes) {
  grpc::Slice slice(bytes.data(), bytes.size());
  return grpc::ByteBuffer(&slice, 1);
}

std::vector<std::string_view> Pieces(const grpc::ByteBuffer& buffer,
                                     std::vector<grpc::Slice>* slices) {
  std::vector<std::string_view> pieces;
  if (!buffer.Valid() || !buffer.Dump(slices).ok()) return pieces;
  for (const grpc::Slice& slice : *slices) {
    pieces.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return pieces;
}

std::string Joined(const grpc::ByteBuffer& buffer, std::size_t bytes_max) {
  std::vector<grpc::Slice> slices;
  std::string joined;
  for (std::string_view piece : Pieces(buffer, &slices)) {
    joined.append(piece.substr(0, bytes_max - joined.size()));
  }
  return joined;
}

}  // namespace ursula::peer

#ifdef __SANITIZE_THREAD__
// Debian's gRPC isn't instrumented, but what its headers bring into our code is: the hand-over
// through its queues is invisible. Races of our own have no frame of gRPC's.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:grpc::\n"; }
#endif
