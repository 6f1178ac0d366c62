#include "server/peer/peer_link.h"

#include <grpcpp/create_channel_posix.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "server/peer/channel_arguments.h"

namespace ursula::peer {
namespace {

constexpr int kConnectMsMax = 2000;
constexpr uint64_t kPauseMsMin = 50;
constexpr uint64_t kPauseMsMax = 1000;

std::size_t LaneIndex(CoreId core, Channel channel) {
  return Raw(core) * std::size_t{kChannelCount} + static_cast<std::size_t>(channel);
}

}  // namespace

// Its fields are guarded by the link's lock, but for the channels and streams, which are the
// link's thread's.
class PeerLink::Session final : public OutgoingStream::Owner {
 public:
  explicit Session(PeerLink* link) : link_(*link) {}

  void OnStreamUp(const Answer& answer) override {
    std::lock_guard lock(link_.mutex_);
    if (up_count_ == 0) answer_ = answer;
    if (answer.theirs.incarnation != answer_.theirs.incarnation) {
      Break("two processes answer at its address");
    }
    ++up_count_;
    link_.changed_.notify_all();
  }
  void OnStreamBroken(const std::string& refusal) override {
    std::lock_guard lock(link_.mutex_);
    Break(refusal);
    link_.changed_.notify_all();
  }

 private:
  friend class PeerLink;
  void Break(const std::string& refusal) {
    if (broken_) return;
    broken_ = true;
    refusal_ = refusal;
  }

  PeerLink& link_;
  std::array<Fd, kChannelCount> fds_;
  std::array<std::shared_ptr<grpc::Channel>, kChannelCount> channels_;
  std::vector<std::shared_ptr<OutgoingStream>> streams_;  // By lane.
  std::size_t up_count_ = 0;
  bool broken_ = false;
  std::string refusal_;
  Answer answer_;
};

PeerLink::PeerLink(const OutgoingStream::Services& services, NodeId peer,
                   std::vector<std::unique_ptr<Poller>>* pollers)
    : services_(services),
      peer_(peer),
      address_(services.roster->options().peers.at(peer)),
      pollers_(*pollers),
      lanes_(std::size_t{services.cores->count()} * kChannelCount),
      stop_event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      resolver_(services.roster->options().resolve),
      random_(services.roster->options().incarnation ^ Raw(peer)) {}

PeerLink::~PeerLink() { URSULA_CHECK(!thread_.joinable()); }

bool PeerLink::Start() {
  return StartThread(&thread_, [this] { Run(); });
}

SendOutcome PeerLink::Send(CoreId core, Channel channel, std::vector<Bytes> frame) {
  Lane& lane = lanes_[LaneIndex(core, channel)];
  std::lock_guard lock(lane.mutex);
  if (lane.stream == nullptr) return SendOutcome::kUnreachable;
  return lane.stream->Send(std::move(frame));
}

void PeerLink::Redial(const std::string& reason) {
  std::lock_guard lock(mutex_);
  if (session_ != nullptr) session_->Break(reason);
  hurry_ = true;
  changed_.notify_all();
}

void PeerLink::Hurry() {
  std::lock_guard lock(mutex_);
  hurry_ = true;
  changed_.notify_all();
}

void PeerLink::BeginStop() {
  std::lock_guard lock(mutex_);
  stopping_ = true;
  eventfd_write(stop_event_.get(), 1);
  changed_.notify_all();
}

void PeerLink::Join() {
  if (thread_.joinable()) thread_.join();
}

void PeerLink::Run() {
  std::chrono::steady_clock::time_point at_once;
  while (true) {
    const Ending ending = RunSession();
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    // The first dial after a break is at once: it tells whether the process has ended. Not so where
    // connections break as soon as they are made.
    const auto now = std::chrono::steady_clock::now();
    if (ending == Ending::kWasUp && now - at_once > std::chrono::milliseconds(kPauseMsMax)) {
      at_once = now;
      pause_ms_ = 0;
      continue;
    }
    pause_ms_ = std::clamp(pause_ms_ * 2, kPauseMsMin, kPauseMsMax);
    Pause();
  }
}

void PeerLink::Pause() {
  const uint64_t ms = pause_ms_ / 2 + random_.Below(pause_ms_ / 2 + 1);
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(ms),
                    [this] { return stopping_ || std::exchange(hurry_, false); });
}

PeerLink::Ending PeerLink::RunSession() {
  auto session = std::make_shared<Session>(this);
  if (!Connect(session.get())) return Ending::kNotReached;
  {
    std::lock_guard lock(mutex_);
    session_ = session;
  }
  StartStreams(session);
  bool up = AwaitUp(session.get());
  if (up) {
    const std::optional<std::string> refusal =
        services_.roster->OnAnswered(peer_, session->answer_);
    up = !refusal;
    std::unique_lock lock(mutex_);
    if (refusal) session->Break(*refusal);
    lock.unlock();
    if (up) {
      Publish(session.get(), true);
      services_.roster->Log(false,
                            "connected to node " + std::to_string(Raw(peer_)) + " at " + address_);
    }
    lock.lock();
    changed_.wait(lock, [&] { return session->broken_ || stopping_; });
  }
  Publish(session.get(), false);
  std::string refusal;
  {
    std::lock_guard lock(mutex_);
    session->Break("the transport stops");
    refusal = session->refusal_;
    session_ = nullptr;
    if (stopping_) refusal.clear();
  }
  for (const std::shared_ptr<OutgoingStream>& stream : session->streams_) stream->Cancel();
  session->streams_.clear();
  session->channels_ = {};
  if (up) services_.roster->OnOutgoingLost(peer_);
  if (!refusal.empty()) {
    services_.roster->NoteRefusal(peer_, Roster::Direction::kOutgoing, refusal);
  }
  return up ? Ending::kWasUp : Ending::kNotUp;
}

bool PeerLink::Connect(Session* session) {
  for (Fd& fd : session->fds_) {
    Dialled dialled = Dial(address_, kConnectMsMax, stop_event_.get(), &resolver_);
    if (!dialled.fd) {
      {
        std::lock_guard lock(mutex_);
        if (stopping_) return false;
      }
      services_.roster->OnDialled(peer_, dialled.refused);
      services_.roster->NoteRefusal(peer_, Roster::Direction::kOutgoing,
                                    "can't reach " + address_ + ": " + dialled.error);
      return false;
    }
    fd = std::move(dialled.fd);
  }
  services_.roster->OnDialled(peer_, false);
  return true;
}

void PeerLink::StartStreams(const std::shared_ptr<Session>& session) {
  ++session_count_;
  const PeerTransportOptions& options = services_.roster->options();
  grpc::ChannelArguments arguments;
  ForEachChannelArgument(options.fragment_bytes_max,
                         [&](const char* name, int value) { arguments.SetInt(name, value); });
  for (std::size_t i = 0; i < kChannelCount; ++i) {
    session->channels_[i] =
        grpc::CreateCustomInsecureChannelFromFd(address_, session->fds_[i].Release(), arguments);
  }
  Hello hello = services_.roster->OurHello(peer_);
  hello.session = session_count_;
  for (uint16_t core = 0; core < services_.cores->count(); ++core) {
    for (std::size_t i = 0; i < kChannelCount; ++i) {
      hello.nonce = DrawNonce();
      hello.core = CoreId{core};
      hello.channel = static_cast<Channel>(i);
      auto stream = std::make_shared<OutgoingStream>(services_, hello, session);
      stream->Start(session->channels_[i], pollers_[core % pollers_.size()]->queue());
      session->streams_.push_back(std::move(stream));
    }
  }
}

bool PeerLink::AwaitUp(Session* session) {
  const auto ms = std::chrono::milliseconds(services_.roster->options().handshake_ms_max);
  std::unique_lock lock(mutex_);
  const bool done = changed_.wait_for(lock, ms, [&] {
    return session->broken_ || stopping_ || session->up_count_ == lanes_.size();
  });
  if (!done) session->Break("it accepts connections but doesn't answer the handshake");
  return !session->broken_ && !stopping_;
}

void PeerLink::Publish(Session* session, bool up) {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    std::shared_ptr<OutgoingStream> old;
    std::lock_guard lock(lanes_[i].mutex);
    old = std::exchange(lanes_[i].stream, up ? session->streams_[i] : nullptr);
  }
}

}  // namespace ursula::peer
