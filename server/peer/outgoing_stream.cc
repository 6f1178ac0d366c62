#include "server/peer/outgoing_stream.h"

#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"

namespace ursula::peer {

OutgoingStream::OutgoingStream(const Services& services, const Hello& hello,
                               std::shared_ptr<Owner> owner)
    : services_(services),
      hello_(hello),
      hello_bytes_(Bytes::Take(EncodeHello(hello))),
      owner_(std::move(owner)),
      counters_(services.roster->counters(hello.receiver)) {
  started_.done = [this](bool ok) { OnStarted(ok); };
  read_.done = [this](bool ok) { OnRead(ok); };
  written_.done = [this](bool ok) { OnWritten(ok); };
  finished_.done = [this](bool ok) { OnFinished(ok); };
}

void OutgoingStream::Start(const std::shared_ptr<grpc::Channel>& channel,
                           grpc::CompletionQueue* queue) {
  services_.open->Enter();
  std::lock_guard lock(mutex_);
  self_ = shared_from_this();
  call_ = grpc::GenericStub(channel).PrepareCall(&context_, kMethod, queue);
  ++pending_;
  call_->StartCall(started_.Give());
}

void OutgoingStream::Cancel() {
  std::lock_guard lock(mutex_);
  if (state_ != State::kBroken) context_.TryCancel();
}

// What keeps it alive, once nothing is under way: to be let go after the lock.
std::shared_ptr<OutgoingStream> OutgoingStream::Done() {
  if (pending_ > 0 || !finish_done_ || self_ == nullptr) return nullptr;
  call_.reset();
  queue_ = {};
  services_.open->Leave();
  return std::exchange(self_, nullptr);
}

void OutgoingStream::Read() {
  ++pending_;
  call_->Read(&incoming_, read_.Give());
}

bool OutgoingStream::BeginWrite() {
  if (writing_ || state_ == State::kBroken) return false;
  if (proof_.empty() && queue_.empty()) return false;
  writing_ = true;
  ++pending_;
  return true;
}

// Of what waits, with the lock. REQUIRES: BeginWrite() was true.
std::vector<Bytes> OutgoingStream::NextMessage() {
  if (!proof_.empty()) return {std::exchange(proof_, {})};
  FrameQueue::Message message = queue_.Next(services_.roster->options().fragment_bytes_max);
  writing_cost_ = message.cost;
  return std::move(message.parts);
}

void OutgoingStream::Write(const std::vector<Bytes>& parts) {
  call_->Write(BorrowedBuffer(parts), written_.Give());
}

void OutgoingStream::OnStarted(bool ok) {
  std::lock_guard lock(mutex_);
  --pending_;
  if (ok) {
    state_ = State::kHello;
    said_hello_ = Clock::now();
    writing_ = true;
    ++pending_;
    Write({hello_bytes_});
  }
  // Of a call that has failed, too: the read says so in its turn.
  Read();
}

void OutgoingStream::Refuse(const std::string& sentence) {
  refusal_ = sentence;
  context_.TryCancel();
}

void OutgoingStream::OnReply() {
  const std::string bytes = Joined(incoming_, kHandshakeBytesMax);
  std::optional<HelloReply> reply = DecodeHelloReply(bytes);
  if (!reply) return Refuse("what answers there is no ursulad");
  if (std::optional<std::string> refusal = services_.roster->Judge(hello_, reply->hello)) {
    return Refuse(*refusal);
  }
  if (reply->hello.node != hello_.receiver) {
    return Refuse("another node answers there: correct its address in --peers");
  }
  const std::string& secret = services_.roster->options().secret;
  if (!SameProof(reply->mac,
                 Proof(secret, Role::kAcceptor, hello_bytes_.view(), reply->hello_bytes))) {
    return Refuse("it doesn't know the cluster's secret: give both the same --cluster-secret-file");
  }
  const auto took = Clock::now() - said_hello_;
  answer_.ours = hello_;
  answer_.theirs = reply->hello;
  answer_.round_trip_us =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  answer_.clock_offset_ms =
      reply->hello.wall_ms - hello_.wall_ms - static_cast<int64_t>(answer_.round_trip_us / 2000);
  state_ = State::kProof;
  proof_ = Bytes::Take(Proof(secret, Role::kDialler, hello_bytes_.view(), reply->hello_bytes));
}

void OutgoingStream::OnRead(bool ok) {
  std::shared_ptr<OutgoingStream> keep;
  bool up = false;
  {
    std::lock_guard lock(mutex_);
    --pending_;
    if (!ok) {
      state_ = State::kBroken;
      ++pending_;
      call_->Finish(&status_, finished_.Give());
      return;
    }
    if (state_ == State::kHello) {
      OnReply();
    } else if (state_ == State::kProof) {
      state_ = State::kUp;
      up = true;
      keep = self_;
    } else {
      Refuse("it says something where nothing is to be said");
    }
    incoming_.Clear();
    Read();
    if (BeginWrite()) Write(NextMessage());
  }
  if (up) owner_->OnStreamUp(answer_);
}

void OutgoingStream::OnFinished(bool /*ok*/) {
  std::shared_ptr<OutgoingStream> keep;
  std::string refusal;
  {
    std::lock_guard lock(mutex_);
    --pending_;
    finish_done_ = true;
    keep = self_;
    refusal = refusal_.empty() ? CleanSentence(status_.error_message()) : refusal_;
    if (refusal.empty()) refusal = "the connection was closed";
  }
  owner_->OnStreamBroken(refusal);
  std::shared_ptr<OutgoingStream> done;
  std::lock_guard lock(mutex_);
  done = Done();
}

SendOutcome OutgoingStream::Send(std::vector<Bytes> frame) {
  uint64_t bytes = 0;
  for (const Bytes& part : frame) bytes += part.size();
  const PeerTransportOptions& options = services_.roster->options();
  if (bytes > options.frame_bytes_max) return SendOutcome::kUnreachable;
  std::unique_lock lock(mutex_);
  if (state_ != State::kUp) return SendOutcome::kUnreachable;
  const uint64_t cost = bytes + kFrameOverheadBytes;
  if (window_bytes_ > 0 && window_bytes_ + cost > options.window_bytes_max) {
    full_ = true;
    ++counters_.window_stalls;
    return SendOutcome::kFull;
  }
  window_bytes_ += cost;
  counters_.sent_frames.fetch_add(1, std::memory_order_relaxed);
  counters_.sent_bytes.fetch_add(bytes, std::memory_order_relaxed);
  queue_.Push(std::move(frame), bytes);
  if (BeginWrite()) {
    const std::vector<Bytes> parts = NextMessage();
    lock.unlock();
    Write(parts);
  }
  return SendOutcome::kTaken;
}

void OutgoingStream::GiveBack(uint64_t cost) {
  window_bytes_ -= cost;
  if (!full_ || window_bytes_ > services_.roster->options().window_bytes_max / 2) return;
  full_ = false;
  services_.cores->Post(
      hello_.core, [to = hello_.receiver, channel = hello_.channel](const Cores::Place& place) {
        if (place.sink() != nullptr) place.sink()->OnRoom(to, channel);
      });
}

void OutgoingStream::OnWritten(bool ok) {
  std::shared_ptr<OutgoingStream> keep;
  std::unique_lock lock(mutex_);
  --pending_;
  writing_ = false;
  const uint64_t cost = std::exchange(writing_cost_, 0);
  if (ok && state_ != State::kBroken) {
    if (cost > 0) GiveBack(cost);
    if (BeginWrite()) {
      const std::vector<Bytes> parts = NextMessage();
      lock.unlock();
      return Write(parts);
    }
  }
  keep = Done();
  lock.unlock();
}

}  // namespace ursula::peer
