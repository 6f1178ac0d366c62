#include "tests/support/peer_nodes.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <random>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"

namespace ursula::testing {
namespace {

std::size_t CountIn(const std::vector<std::string>& log, const std::string& part) {
  return static_cast<std::size_t>(
      std::count_if(log.begin(), log.end(),
                    [&](const std::string& line) { return line.find(part) != line.npos; }));
}

uint64_t NextIncarnation() {
  static std::atomic<uint64_t> count = 0;
  return 1'000'000 + ++count;
}

}  // namespace

uint16_t FreePort() {
  constexpr unsigned kFirst = 12000;
  constexpr unsigned kCount = 20000;
  // Not by the process's id, which is the same in each test's sandbox.
  static std::atomic<unsigned> tried = std::random_device{}();
  while (true) {
    const unsigned port = kFirst + tried++ % kCount;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    if (free) return static_cast<uint16_t>(port);
  }
}

std::string Loopback(uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

CoreThread::CoreThread() {
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      Function<void()> work = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
    }
  });
}

CoreThread::~CoreThread() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CoreThread::Post(Function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void CoreThread::Run(Function<void()> work) {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  Post([&] {
    work();
    std::lock_guard lock(mutex);
    done = true;
    changed.notify_one();
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return done; });
}

class PeerNode::Sink final : public FrameSink {
 public:
  Sink(PeerNode* node, uint16_t core) : node_(*node), core_(core) {}

  void OnFrame(NodeId from, Channel channel, Bytes frame) override {
    Tell({.kind = PeerEvent::Kind::kFrame,
          .core = core_,
          .peer = from,
          .channel = channel,
          .frame = std::string(frame.view())});
  }
  void OnRoom(NodeId to, Channel channel) override {
    Tell({.kind = PeerEvent::Kind::kRoom, .core = core_, .peer = to, .channel = channel});
  }
  void OnLost(NodeId peer, bool ended) override {
    Tell({.kind = PeerEvent::Kind::kLost, .core = core_, .peer = peer, .ended = ended});
  }

 private:
  void Tell(PeerEvent event) {
    URSULA_CHECK(node_.core(core_).IsCurrent());
    node_.OnEvent(std::move(event));
  }

  PeerNode& node_;
  const uint16_t core_;
};

PeerNode::PeerNode(uint64_t id, uint16_t core_count, uint16_t port,
                   std::map<uint64_t, uint16_t> peers, const Change& change) {
  for (uint16_t i = 0; i < core_count; ++i) {
    cores_.push_back(std::make_unique<CoreThread>());
    sinks_.push_back(std::make_unique<Sink>(this, i));
  }
  peer::PeerTransportOptions options;
  options.node = NodeId{id};
  options.core_count = core_count;
  options.listen = Loopback(port);
  for (const auto& [peer, at] : peers) options.peers[NodeId{peer}] = Loopback(at);
  options.incarnation = NextIncarnation();
  options.post = [this](CoreId core, Function<void()> work) {
    cores_[Raw(core)]->Post(std::move(work));
  };
  options.log = [this](bool, std::string_view sentence) {
    std::lock_guard lock(mutex_);
    log_.emplace_back(sentence);
    changed_.notify_all();
  };
  if (change) change(&options);
  Result<std::unique_ptr<peer::PeerTransport>> made = peer::NewPeerTransport(options);
  if (!made.ok()) std::fprintf(stderr, "%s\n", made.status().message().c_str());
  URSULA_CHECK(made.ok());
  transport_ = std::move(*made);
  for (uint16_t i = 0; i < core_count; ++i) {
    core(i).Run([this, i] { transport_->Attach(CoreId{i}, sinks_[i].get()); });
  }
}

PeerNode::~PeerNode() {
  Stop();
  transport_.reset();
  cores_.clear();
}

void PeerNode::Stop() {
  transport_->Stop();
  std::lock_guard lock(mutex_);
  stopped_ = true;
}

void PeerNode::Detach(uint16_t at) {
  core(at).Run([&] { transport_->Detach(CoreId{at}); });
}

SendOutcome PeerNode::Send(uint16_t at, uint64_t to, Channel channel, std::vector<Bytes> frame) {
  SendOutcome outcome = SendOutcome::kUnreachable;
  core(at).Run(
      [&] { outcome = transport_->Send(CoreId{at}, NodeId{to}, channel, std::move(frame)); });
  return outcome;
}

void PeerNode::SendSurely(uint16_t at, uint64_t to, Channel channel, const std::string& frame) {
  AwaitConnected(to);
  while (true) {
    const std::size_t before = event_count();
    const SendOutcome outcome = Send(at, to, channel, frame);
    if (outcome == SendOutcome::kTaken) return;
    URSULA_CHECK(outcome == SendOutcome::kFull);
    Await([&](const std::vector<PeerEvent>& events) {
      return std::any_of(events.begin() + static_cast<std::ptrdiff_t>(before), events.end(),
                         [&](const PeerEvent& event) {
                           return event.kind == PeerEvent::Kind::kRoom && event.core == at;
                         });
    });
  }
}

void PeerNode::OnEvent(PeerEvent event) {
  {
    std::lock_guard lock(mutex_);
    URSULA_CHECK(!stopped_);
    events_.push_back(event);
    if (event.kind == PeerEvent::Kind::kFrame) ++frame_count_;
    changed_.notify_all();
  }
  if (hook_) hook_(event);
}

void PeerNode::Await(const std::function<bool(const std::vector<PeerEvent>&)>& wanted) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return wanted(events_); });
}

void PeerNode::AwaitFrames(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return frame_count_ >= count; });
}

void PeerNode::AwaitLost(uint64_t peer, bool ended) {
  Await([=](const std::vector<PeerEvent>& events) {
    return std::any_of(events.begin(), events.end(), [=](const PeerEvent& event) {
      return event.kind == PeerEvent::Kind::kLost && Raw(event.peer) == peer &&
             event.ended == ended;
    });
  });
}

void PeerNode::AwaitLog(const std::string& part, std::size_t times) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return CountIn(log_, part) >= times; });
}

void PeerNode::AwaitRefused(uint64_t peer, const std::string& part) {
  const std::string begin = "no connection to node " + std::to_string(peer) + ": ";
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return std::any_of(log_.begin(), log_.end(), [&](const std::string& line) {
      return line.starts_with(begin) && line.find(part) != line.npos;
    });
  });
}

void PeerNode::AwaitConnected(uint64_t peer, std::size_t times) {
  AwaitLog("connected to node " + std::to_string(peer) + " ", times);
}

std::size_t PeerNode::event_count() {
  std::lock_guard lock(mutex_);
  return events_.size();
}

std::vector<PeerEvent> PeerNode::events() {
  std::lock_guard lock(mutex_);
  return events_;
}

std::vector<std::string> PeerNode::frames(uint16_t at, Channel channel) {
  std::vector<std::string> frames;
  std::lock_guard lock(mutex_);
  for (const PeerEvent& event : events_) {
    if (event.kind == PeerEvent::Kind::kFrame && event.core == at && event.channel == channel) {
      frames.push_back(event.frame);
    }
  }
  return frames;
}

std::size_t PeerNode::CountLog(const std::string& part) {
  std::lock_guard lock(mutex_);
  return CountIn(log_, part);
}

peer::PeerStatus PeerNode::status(uint64_t peer) {
  for (const peer::PeerStatus& status : transport_->Peers()) {
    if (Raw(status.node) == peer) return status;
  }
  return {};
}

void PeerNode::Clear() {
  std::lock_guard lock(mutex_);
  events_.clear();
  frame_count_ = 0;
}

}  // namespace ursula::testing
