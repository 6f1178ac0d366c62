#include "server/peer/roster.h"

#include <chrono>

#include "lib/base/ids.h"

namespace ursula::peer {
namespace {

constexpr std::size_t kStrangersMax = 64;
// Whoever gives another reason each time fills no log either.
constexpr std::chrono::milliseconds kLogPause(100);

int64_t WallMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string Name(NodeId node) { return "node " + std::to_string(Raw(node)); }

}  // namespace

Roster::Roster(const PeerTransportOptions& options, Cores* cores)
    : options_(options),
      cores_(*cores),
      cluster_id_(options.cluster_id),
      group_count_(options.group_count),
      append_bytes_max_(options.append_bytes_max) {
  for (const auto& [node, address] : options_.peers) {
    if (node != options_.node) peers_[node].address = address;
  }
}

Hello Roster::OurHello(NodeId receiver) {
  Hello hello;
  hello.has_secret = !options_.secret.empty();
  hello.node = options_.node;
  hello.receiver = receiver;
  hello.incarnation = options_.incarnation;
  hello.feature_level_max = options_.feature_level_max;
  hello.feature_level = feature_level_;
  hello.wall_ms = WallMs();
  hello.nonce = DrawNonce();
  hello.cluster_id = cluster_id_;
  hello.group_count = group_count_;
  hello.http_address = options_.http_address;
  hello.append_bytes_max = append_bytes_max_;
  return hello;
}

std::optional<std::string> Roster::Judge(const Hello& ours, const Hello& theirs) const {
  return Refusal(ours, theirs, options_.peers);
}

void Roster::Log(bool trouble, const std::string& sentence) const {
  if (options_.log) options_.log(trouble, sentence);
}

void Roster::NoteRefusal(NodeId peer, Direction direction, const std::string& sentence) {
  {
    std::lock_guard lock(mutex_);
    auto found = peers_.find(peer);
    // Whoever makes up ids fills no log.
    if (found == peers_.end() && strangers_.size() >= kStrangersMax && !strangers_.contains(peer)) {
      return;
    }
    Refused& last = found == peers_.end()
                        ? strangers_[peer]
                        : found->second.refusals[static_cast<std::size_t>(direction)];
    last.sentence = sentence;
    if (last.logged == sentence) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last.when < kLogPause) return;
    last.logged = sentence;
    last.when = now;
  }
  Log(true,
      (direction == Direction::kOutgoing ? "no connection to " : "refused a connection from ") +
          Name(peer) + ": " + sentence);
}

void Roster::TellIfEnded(NodeId node, Peer* peer) {
  // A refused dial alone may mean a wrong address.
  if (!peer->refused || peer->outgoing || !peer->incoming.empty()) return;
  if (peer->incarnation == 0 || peer->told_ended) return;
  peer->told_ended = true;
  cores_.PostLost(node, true);
}

void Roster::CloseIncoming(NodeId node, Peer* peer) {
  if (peer->incoming.empty()) return;
  for (auto& [lane, incoming] : peer->incoming) incoming.stream->Close();
  peer->incoming.clear();
  cores_.PostLost(node, false);
}

void Roster::MeetProcess(NodeId node, Peer* peer, uint64_t incarnation) {
  if (peer->incarnation == incarnation) {
    peer->told_ended = false;
    return;
  }
  CloseIncoming(node, peer);
  if (peer->incarnation != 0 && !peer->told_ended) cores_.PostLost(node, true);
  peer->incarnation = incarnation;
  peer->told_ended = false;
  peer->session = 0;
}

void Roster::OnDialled(NodeId node, bool refused) {
  std::lock_guard lock(mutex_);
  Peer& peer = peers_.at(node);
  peer.refused = refused;
  TellIfEnded(node, &peer);
}

void Roster::NoteWords(const Hello& ours, const Hello& theirs, Peer* peer) {
  peer->http_address = theirs.http_address;
  peer->append_bytes_max = theirs.append_bytes_max;
  std::string warning = LimitSentence(ours, theirs).value_or("");
  if (!warning.empty() && warning != peer->warned) Log(true, warning);
  peer->warned = std::move(warning);
}

std::optional<std::string> Roster::OnAnswered(NodeId node, const Answer& answer) {
  std::lock_guard lock(mutex_);
  if (answer.ours.cluster_id != cluster_id_) return "the cluster became known meanwhile";
  Peer& peer = peers_.at(node);
  // Who answers at the peer's address is the peer, whoever else says so.
  MeetProcess(node, &peer, answer.theirs.incarnation);
  peer.outgoing = true;
  peer.answer = answer;
  NoteWords(answer.ours, answer.theirs, &peer);
  ++peer.connects;
  for (Refused& refused : peer.refusals) refused = {};
  return std::nullopt;
}

void Roster::OnOutgoingLost(NodeId node) {
  std::lock_guard lock(mutex_);
  Peer& peer = peers_.at(node);
  if (!peer.outgoing) return;
  peer.outgoing = false;
  cores_.PostLost(node, false);
}

// A process is alive for as long as its connections are; keepalive ends those of a dead one soon.
std::optional<std::string> Roster::OtherProcess(NodeId node, const Peer& peer,
                                                const Hello& theirs) const {
  if (peer.incarnation == theirs.incarnation) return std::nullopt;
  if (!peer.outgoing && peer.incoming.empty()) return std::nullopt;
  return "another process is connected as " + Name(node) +
         ": two nodes have one id, or the older has just ended and a retry succeeds; give each a"
         " --node-id of its own";
}

std::optional<std::string> Roster::Admit(std::shared_ptr<IncomingStream> stream, const Hello& ours,
                                         const Hello& theirs) {
  std::lock_guard lock(mutex_);
  if (stopped_) return "the node stops";
  if (ours.cluster_id != cluster_id_) return "the cluster became known meanwhile";
  Peer& peer = peers_.at(theirs.node);
  if (std::optional<std::string> other = OtherProcess(theirs.node, peer, theirs)) return other;
  MeetProcess(theirs.node, &peer, theirs.incarnation);
  if (theirs.session < peer.session) return "a newer connection of this node is there";
  if (theirs.session > peer.session) {
    CloseIncoming(theirs.node, &peer);
    peer.session = theirs.session;
  }
  const bool added = peer.incoming
                         .try_emplace({theirs.core, theirs.channel},
                                      Incoming{std::move(stream), theirs.cluster_id})
                         .second;
  if (!added) return "this core has such a stream already";
  NoteWords(ours, theirs, &peer);
  peer.refusals[static_cast<std::size_t>(Direction::kIncoming)] = {};
  return std::nullopt;
}

void Roster::OnIncomingLost(IncomingStream* stream, const Hello& theirs) {
  std::lock_guard lock(mutex_);
  Peer& peer = peers_.at(theirs.node);
  auto found = peer.incoming.find({theirs.core, theirs.channel});
  if (found == peer.incoming.end() || found->second.stream.get() != stream) return;
  // The streams of a session have one fate.
  CloseIncoming(theirs.node, &peer);
  TellIfEnded(theirs.node, &peer);
}

void Roster::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  for (auto& [node, peer] : peers_) CloseIncoming(node, &peer);
}

std::vector<NodeId> Roster::SetCluster(uint64_t cluster_id, uint32_t group_count) {
  std::vector<NodeId> anew;
  std::lock_guard lock(mutex_);
  cluster_id_ = cluster_id;
  if (group_count != 0) group_count_ = group_count;
  for (auto& [node, peer] : peers_) {
    if (peer.outgoing && peer.answer.theirs.cluster_id != cluster_id) anew.push_back(node);
    for (const auto& [lane, incoming] : peer.incoming) {
      if (incoming.cluster_id == cluster_id) continue;
      CloseIncoming(node, &peer);
      break;
    }
  }
  return anew;
}

std::vector<PeerStatus> Roster::Statuses() {
  std::vector<PeerStatus> statuses;
  std::lock_guard lock(mutex_);
  for (const auto& [node, peer] : peers_) {
    PeerStatus status;
    status.node = node;
    status.http_address = peer.http_address;
    status.append_bytes_max = peer.append_bytes_max;
    Hello ours;
    Hello theirs;
    ours.node = options_.node;
    ours.append_bytes_max = append_bytes_max_;
    theirs.node = node;
    theirs.append_bytes_max = peer.append_bytes_max;
    status.warning = LimitSentence(ours, theirs).value_or("");
    status.address = peer.address;
    status.connected = peer.outgoing;
    status.connected_from = !peer.incoming.empty();
    status.refusal =
        peer.refusals[0].sentence.empty() ? peer.refusals[1].sentence : peer.refusals[0].sentence;
    status.incarnation = peer.incarnation;
    status.cluster_id = peer.answer.theirs.cluster_id;
    status.feature_level_max = peer.answer.theirs.feature_level_max;
    if (peer.connects != 0) {
      status.version = CommonVersion(peer.answer.ours, peer.answer.theirs).value_or(0);
    }
    status.round_trip_us = peer.answer.round_trip_us;
    status.clock_offset_ms = peer.answer.clock_offset_ms;
    status.connects = peer.connects;
    status.sent_frames = peer.counters.sent_frames;
    status.sent_bytes = peer.counters.sent_bytes;
    status.received_frames = peer.counters.received_frames;
    status.received_bytes = peer.counters.received_bytes;
    status.window_stalls = peer.counters.window_stalls;
    status.bad_messages = peer.counters.bad_messages;
    statuses.push_back(std::move(status));
  }
  return statuses;
}

}  // namespace ursula::peer
