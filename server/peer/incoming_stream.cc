#include "server/peer/incoming_stream.h"

#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"

namespace ursula::peer {

PeerStream::PeerStream(const Services& services) : services_(services) {
  called_.done = [this](bool ok) { OnCalled(ok); };
  read_.done = [this](bool ok) { OnRead(ok); };
  written_.done = [this](bool ok) { OnWritten(ok); };
  finished_.done = [this](bool ok) { OnFinished(ok); };
}

void PeerStream::Await(grpc::AsyncGenericService* service, grpc::ServerCompletionQueue* queue) {
  services_.open->Enter();
  std::lock_guard lock(mutex_);
  self_ = shared_from_this();
  queue_ = queue;
  ++pending_;
  service->RequestCall(&call_->context, &call_->stream, queue, queue, called_.Give());
}

// What keeps it alive, once nothing is under way: to be let go after the lock.
std::shared_ptr<PeerStream> PeerStream::Done() {
  if (pending_ > 0 || state_ != State::kClosed || self_ == nullptr) return nullptr;
  EndHandshake();
  call_.reset();
  services_.open->Leave();
  return std::exchange(self_, nullptr);
}

void PeerStream::EndHandshake() {
  if (std::exchange(in_handshake_, false)) services_.reception->OnHandshakeEnded();
}

void PeerStream::CloseLocked() {
  if (state_ == State::kClosed) return;
  // A call that hasn't come can't be cancelled; the server's end ends it.
  if (state_ != State::kAwaited) call_->context.TryCancel();
  state_ = State::kClosed;
}

void PeerStream::Close() {
  std::shared_ptr<PeerStream> keep;
  std::lock_guard lock(mutex_);
  CloseLocked();
  keep = Done();
}

void PeerStream::Read() {
  ++pending_;
  reading_ = true;
  call_->stream.Read(&incoming_, read_.Give());
}

void PeerStream::Write(std::string_view message) {
  next_write_ = message;
  GoOnWriting();
}

// One operation of this direction at a time.
void PeerStream::GoOnWriting() {
  if (writing_) return;
  if (wants_finish_) {
    wants_finish_ = false;
    ++pending_;
    call_->stream.Finish(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, refusal_),
                         finished_.Give());
  } else if (!next_write_.empty()) {
    writing_ = true;
    ++pending_;
    call_->stream.Write(CopiedBuffer(std::exchange(next_write_, {})), written_.Give());
  }
}

// The sentence goes to the dialler, who logs it too.
void PeerStream::Refuse(const std::string& sentence) {
  state_ = State::kClosed;
  refusal_ = sentence;
  wants_finish_ = true;
  GoOnWriting();
}

void PeerStream::OnCalled(bool ok) {
  const bool welcome = ok && services_.reception->OnCalled(queue_);
  std::shared_ptr<PeerStream> keep;
  std::lock_guard lock(mutex_);
  --pending_;
  in_handshake_ = welcome;
  if (!ok) {
    state_ = State::kClosed;
  } else if (!welcome) {
    Refuse("too many handshakes are under way");
  } else if (call_->context.method() != kMethod) {
    Refuse("nothing but /ursula.Peer/Frames is served here");
  } else {
    state_ = State::kHello;
    Read();
  }
  keep = Done();
}

void PeerStream::OnHello() {
  theirs_bytes_ = Joined(incoming_, kHandshakeBytesMax + 1);
  std::optional<Hello> hello = DecodeHello(theirs_bytes_);
  if (!hello) return Refuse("what was said first is no hello of an ursulad");
  theirs_ = *hello;
  ours_ = services_.roster->OurHello(theirs_.node);
  ours_.session = theirs_.session;
  ours_.core = theirs_.core;
  ours_.channel = theirs_.channel;
  if (std::optional<std::string> refusal = services_.roster->Judge(ours_, theirs_)) {
    return Refuse(*refusal);
  }
  ours_bytes_ = EncodeHello(ours_);
  state_ = State::kProof;
  const std::string& secret = services_.roster->options().secret;
  Write(EncodeHelloReply(ours_bytes_, Proof(secret, Role::kAcceptor, theirs_bytes_, ours_bytes_)));
  Read();
}

void PeerStream::OnProof() {
  const std::string& secret = services_.roster->options().secret;
  const std::string proof = Joined(incoming_, kHandshakeBytesMax);
  if (SameProof(proof, Proof(secret, Role::kDialler, theirs_bytes_, ours_bytes_))) return;
  Refuse("it doesn't know the cluster's secret: give both the same --cluster-secret-file");
}

// Without the lock: the roster closes others, and this one as soon as it knows it.
bool PeerStream::Admit() {
  std::optional<std::string> refusal = services_.roster->Admit(shared_from_this(), ours_, theirs_);
  {
    std::lock_guard lock(mutex_);
    EndHandshake();
    if (refusal) {
      if (state_ == State::kProof) Refuse(*refusal);
    } else if (state_ == State::kProof) {
      state_ = State::kOpen;
      core_ = CoreId{static_cast<uint16_t>(Raw(theirs_.core) % services_.cores->count())};
      counters_ = &services_.roster->counters(theirs_.node);
      reader_.emplace(services_.roster->options().frame_bytes_max);
      Write("\x01");
      incoming_.Clear();
      Read();
      return true;
    }
  }
  return false;
}

void PeerStream::OnRead(bool ok) {
  std::shared_ptr<PeerStream> keep;
  bool admit = false;
  bool lost = false;
  std::string refusal;
  {
    std::lock_guard lock(mutex_);
    reading_ = false;
    if (!ok) {
      lost = state_ == State::kOpen;
      CloseLocked();
    } else if (state_ == State::kHello) {
      OnHello();
    } else if (state_ == State::kProof) {
      OnProof();
      admit = state_ == State::kProof;
    } else if (state_ == State::kOpen) {
      OnMessage();
      lost = state_ == State::kClosed;
    }
    refusal = refusal_;
  }
  // This read still counts as pending: what follows can't be the last of it.
  if (admit && Admit()) services_.reception->OnEstablished(call_->context.peer());
  std::unique_lock lock(mutex_);
  if (admit) refusal = refusal_;
  lock.unlock();
  if (!refusal.empty() && Raw(theirs_.node) != 0) {
    services_.roster->NoteRefusal(theirs_.node, Roster::Direction::kIncoming, refusal);
  }
  if (lost) services_.roster->OnIncomingLost(this, theirs_);
  lock.lock();
  --pending_;
  keep = Done();
  lock.unlock();
}

void PeerStream::OnMessage() {
  std::vector<grpc::Slice> slices;
  std::vector<Bytes> frames;
  counters_->received_bytes.fetch_add(incoming_.Length(), std::memory_order_relaxed);
  if (!reader_->Read(Pieces(incoming_, &slices), &frames)) {
    ++counters_->bad_messages;
    return Refuse("a message holds no frames of this format");
  }
  incoming_.Clear();
  counters_->received_frames.fetch_add(frames.size(), std::memory_order_relaxed);
  if (!frames.empty()) {
    uint64_t bytes = 0;
    for (const Bytes& frame : frames) bytes += frame.size();
    ++posts_;
    posted_bytes_ += bytes;
    services_.cores->Post(
        core_, [self = shared_from_this(), from = theirs_.node, channel = theirs_.channel, bytes,
                frames = std::move(frames)](const Cores::Place& place) mutable {
          for (Bytes& frame : frames) {
            // It may detach itself in between.
            if (place.sink() != nullptr) place.sink()->OnFrame(from, channel, std::move(frame));
          }
          self->OnDelivered(bytes);
        });
  }
  if (posts_ < kPostsMax && posted_bytes_ < kPostedBytesMax) Read();
}

void PeerStream::OnDelivered(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  --posts_;
  posted_bytes_ -= bytes;
  if (state_ == State::kOpen && !reading_) Read();
}

void PeerStream::OnWritten(bool ok) {
  std::shared_ptr<PeerStream> keep;
  std::lock_guard lock(mutex_);
  --pending_;
  writing_ = false;
  if (ok) GoOnWriting();
  keep = Done();
}

void PeerStream::OnFinished(bool /*ok*/) {
  std::shared_ptr<PeerStream> keep;
  std::lock_guard lock(mutex_);
  --pending_;
  keep = Done();
}

}  // namespace ursula::peer
