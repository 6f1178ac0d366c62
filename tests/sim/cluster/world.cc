#include "tests/sim/cluster/world.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>

#include "lib/base/ids.h"
#include "tests/sim/seeds/hash.h"

namespace ursula::group::sim {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;
constexpr uint64_t kOperationsMin = 500;
constexpr std::size_t kCallsMax = 100;
constexpr uint64_t kTroublesMin = 5;
// From the end of all trouble until everything is available and alike.
constexpr uint64_t kHealNs = 60 * kSecond;

}  // namespace

World::World(uint64_t seed, bool verbose)
    : seed_(seed),
      verbose_(verbose),
      random_(seed),
      profile_(MakeProfile(&random_)),
      cluster_(profile_.nodes, seed + 1, profile_.options, profile_.voters) {
  cluster_.network().set_faults(profile_.network);
  for (uint64_t id = 1; id <= profile_.nodes; ++id) {
    cluster_.node(id).disk.faults().latency_min_ns = 20'000;
    cluster_.node(id).disk.faults().latency_max_ns = profile_.disk_latency_ns_max;
  }
}

ursula::sim::SeedResult World::Run() {
  for (uint64_t id = 1; id <= profile_.nodes; ++id) Open(id);
  if (violation_.empty() && CreateStreams()) {
    // What nobody takes, for nodes are down or too much waits, doesn't count.
    while (violation_.empty() && (operations_ < profile_.operations || troubles_ < kTroublesMin)) {
      if (second_ns_ == 0) second_ns_ = cluster_.now_ns();
      Operate();
      if (random_.OneIn(profile_.trouble_one_in)) Trouble();
      if (profile_.change_one_in > 0 && random_.OneIn(profile_.change_one_in)) ChangeMembers();
      if (random_.OneIn(profile_.checkpoint_one_in)) {
        const uint64_t id = AnyNode();
        if (cluster_.node(id).open() && cluster_.node(id).started()) {
          cluster_.replica(id, static_cast<uint32_t>(random_.Below(profile_.options.groups)))
              .Checkpoint();
        }
      }
      Run(random_.Below(profile_.pause_ns_max));
    }
    second_ns_ = 0;
    if (violation_.empty()) Finish();
  }
  for (const Stream& stream : streams_) {
    if (violation_.empty() && !stream.history.violation().empty()) {
      Violate(stream.name + ": " + stream.history.violation());
    }
  }
  uint64_t acknowledged = 0;
  for (const Stream& stream : streams_) acknowledged += stream.history.acknowledged();
  ursula::sim::SeedResult result;
  result.seed = seed_;
  result.trace = trace_;
  result.violation = violation_;
  result.figures = {{"operations", operations_},
                    {"acknowledged", acknowledged},
                    {"unknown", unknown_},
                    {"refused", refused_},
                    {"troubles", troubles_},
                    {"crashes", crashes_},
                    {"changes of members", changes_},
                    {"seeds with them", changes_ > 0 ? 1u : 0u},
                    {"calm seconds", calm_seconds_},
                    {"of them served", served_seconds_},
                    {"too small", violation_.empty() && IsSmall() ? 1u : 0u},
                    {"frames", cluster_.network().frames()}};
  return result;
}

bool World::IsSmall() const { return operations_ < kOperationsMin || troubles_ < kTroublesMin; }

bool World::CreateStreams() {
  for (uint32_t i = 0; i < profile_.streams; ++i) {
    Stream& stream = streams_.emplace_back();
    stream.group = i % profile_.options.groups;
    stream.name = "s" + std::to_string(i);
    for (int tries = 0;; ++tries) {
      if (tries == 100 || !cluster_.AwaitLeader(stream.group)) {
        Violate("no stream can be made");
        return false;
      }
      GroupWorld& node = cluster_.node(*cluster_.Leader(stream.group));
      if (cluster_.Finish(node.Create(stream.name, {}, stream.group))) break;
    }
  }
  return true;
}

uint64_t World::PickNode(uint32_t group) {
  if (!random_.OneIn(4)) {
    if (std::optional<uint64_t> leader = cluster_.Leader(group)) return *leader;
  }
  return AnyNode();
}

void World::Operate() {
  if (calls_.size() >= kCallsMax) return;
  Stream& stream = streams_[random_.Below(streams_.size())];
  const uint64_t node = PickNode(stream.group);
  if (!cluster_.node(node).open()) return;
  ++operations_;
  if (random_.OneIn(20)) return UseShortLived(node);
  switch (random_.Below(8)) {
    case 0:
    case 1:
    case 2:
      return Read(&stream, node);
    case 3:
    case 4:
      return AppendOnce(&stream, node);
    default:
      return Append(&stream, node);
  }
}

void World::Append(Stream* stream, uint64_t node) {
  const std::string payload = stream->history.NewAppend(random_.Below(profile_.append_bytes_max));
  const uint64_t told = stream->history.told();
  const Asked asked = cluster_.node(node).Append(stream->name, payload, stream->group);
  calls_.push_back([this, stream, payload, told, asked, &at = cluster_.node(node)] {
    if (!asked->reply && at.open()) return false;
    if (asked->ok()) {
      Succeeded(*stream);
      stream->history.Acknowledged(payload, told, (*asked->reply)->append.tail.bytes);
    } else if (asked->reply && asked->code() != StatusCode::kOutcomeUnknown) {
      ++refused_;
      stream->history.Refused(payload);
    } else {
      ++unknown_;
    }
    Note(1, asked->ok());
    return true;
  });
}

void World::AppendOnce(Stream* stream, uint64_t node) {
  if (stream->asking) return;
  stream->asking = true;
  if (stream->asked.empty()) {
    stream->asked = stream->history.NewAppend(random_.Below(profile_.append_bytes_max));
  }
  stream::Append append;
  append.id = NameOf(stream->name);
  append.producer = Producer{"p", 0, stream->sequence};
  append.payload = Bytes::Copy(stream->asked);
  const Asked asked = cluster_.node(node).Propose(std::move(append), stream->group);
  calls_.push_back([this, stream, asked, &at = cluster_.node(node)] {
    if (!asked->reply && at.open()) return false;
    stream->asking = false;
    Note(2, asked->ok());
    if (!asked->reply || !asked->reply->ok()) return true;  // Asked again, the same.
    const Outcome outcome = (*asked->reply)->outcome;
    if (outcome != Outcome::kOk && outcome != Outcome::kDuplicate) {
      Violate("a producer's append ended with " + std::to_string(static_cast<int>(outcome)));
    }
    Succeeded(*stream);
    stream->history.AcknowledgedOnce(stream->asked);
    stream->asked.clear();
    ++stream->sequence;
    return true;
  });
}

void World::Read(Stream* stream, uint64_t node) {
  if (random_.OneIn(6)) return ReadOf(stream, node, random_.Below(3000));
  ReadOf(stream, node, std::nullopt);
}

uint64_t World::ToldBy(const Stream& stream, uint64_t ns) const {
  auto after = stream.told_at.upper_bound(ns);
  return after == stream.told_at.begin() ? 0 : std::prev(after)->second;
}

// `staleness_ms`: it may be so old, and comes from there.
void World::ReadOf(Stream* stream, uint64_t node, std::optional<uint64_t> staleness_ms) {
  struct State {
    std::string content;
    AskedRead page;
  };
  auto state = std::make_shared<State>();
  const uint64_t now_ns = cluster_.now_ns();
  const uint64_t told = staleness_ms
                            ? ToldBy(*stream, now_ns - std::min(now_ns, *staleness_ms * kMs))
                            : stream->history.told();
  auto ask = [stream, state, staleness_ms, &at = cluster_.node(node)] {
    ReadRequest request;
    if (staleness_ms) request.consistency = Consistency::kLocal;
    request.staleness_ms_max = staleness_ms.value_or(0);
    request.stream = NameOf(stream->name);
    request.from = {state->content.size()};
    state->page = at.Read(request, 0, stream->group);
  };
  ask();
  calls_.push_back([this, stream, state, told, ask, staleness_ms, &at = cluster_.node(node)] {
    if (!at.open()) return true;
    if (!state->page->reply) return false;
    Note(3, state->page->reply->ok());
    if (!state->page->reply->ok()) {
      if (state->page->reply->status().code() == StatusCode::kDataLoss) {
        Violate("a read met lost data: " + state->page->reply->status().message());
      }
      return true;
    }
    const ReadReply& reply = (*state->page->reply)->reply;
    if (reply.outcome != Outcome::kOk) {
      // One that hasn't heard of the stream yet: the engine asks again (IsToAskAgain).
      if (staleness_ms && reply.outcome == Outcome::kNotFound && told == 0) return true;
      Violate("a read ended with " + std::to_string(static_cast<int>(reply.outcome)));
      return true;
    }
    if (reply.start.bytes != state->content.size()) {
      Violate("a page begins elsewhere than where it was asked for");
    }
    state->content += state->page->text();
    if (!reply.up_to_date) {
      ask();
      return false;
    }
    if (!staleness_ms) Succeeded(*stream);
    stream->history.Read(state->content, told);
    return true;
  });
}

// Streams that expire, are renewed and waited for, wherever: what becomes of them is the same
// everywhere (Observe), and nobody waits for ever.
void World::UseShortLived(uint64_t node) {
  const std::string name = "short" + std::to_string(random_.Below(3));
  GroupWorld& at = cluster_.node(node);
  if (random_.OneIn(3)) {
    const Asked asked = at.Create(name, {.ttl_seconds = 1 + random_.Below(3)});
    calls_.push_back([asked, &at] { return asked->reply.has_value() || !at.open(); });
    return;
  }
  ReadRequest request;
  request.stream = NameOf(name);
  request.wait_ms = random_.OneIn(2) ? 0 : random_.Below(8000);
  const AskedRead read = at.Read(request);
  calls_.push_back([read, &at] { return read->reply.has_value() || !at.open(); });
}

void World::Poll() {
  // What a call's end asks for anew stands behind.
  const std::size_t count = calls_.size();
  for (std::size_t i = 0; i < count; ++i) {
    Call call = std::move(calls_.front());
    calls_.pop_front();
    if (!call()) calls_.push_back(std::move(call));
  }
}

bool World::Run(uint64_t ns) {
  const uint64_t end_ns = cluster_.now_ns() + ns;
  do {
    cluster_.RunFor(std::min<uint64_t>(end_ns - cluster_.now_ns(), 2'000'000));
    Poll();
    RepairDue(false);
    for (Stream& stream : streams_) {
      const uint64_t told = stream.history.told();
      if (stream.told_at.empty() || stream.told_at.rbegin()->second != told) {
        stream.told_at[cluster_.now_ns()] = told;
      }
    }
    CountSecond();
    Observe();
  } while (violation_.empty() && cluster_.now_ns() < end_ns);
  return violation_.empty();
}

// At equal index states are equal, and a term has one leader.
void World::Observe() {
  for (uint64_t id = 1; id <= profile_.nodes; ++id) {
    if (!cluster_.node(id).open() || !cluster_.node(id).started()) continue;
    for (uint32_t group = 0; group < profile_.options.groups; ++group) {
      Replica& replica = cluster_.replica(id, group);
      if (replica.leads()) {
        const uint64_t leader =
            leaders_.try_emplace({group, Raw(replica.term())}, id).first->second;
        if (leader != id) Violate("two lead in one term");
      }
      const uint64_t index = Raw(replica.applied());
      if (std::exchange(observed_[{id, group}], index) == index) continue;
      const uint64_t hash = replica.machine().StateHash();
      if (hashes_.try_emplace({group, index}, hash).first->second != hash) {
        Violate("two states of group " + std::to_string(group) + " at entry " +
                std::to_string(index));
      }
      Note(id, index);
    }
  }
}

bool World::AllAlike() {
  for (uint32_t group = 0; group < profile_.options.groups; ++group) {
    const std::optional<uint64_t> leader = cluster_.Leader(group);
    if (!leader || !cluster_.replica(*leader, group).members().voters_outgoing.empty()) {
      return false;
    }
    for (uint64_t id : cluster_.Members(group)) {
      if (!cluster_.node(id).open() || !cluster_.node(id).started()) return false;
      Replica& replica = cluster_.replica(id, group);
      if (replica.applied() != cluster_.replica(*leader, group).applied()) return false;
      if (!replica.whole() || replica.installing()) return false;
    }
  }
  return true;
}

void World::Finish() {
  cluster_.network().Heal();
  RepairDue(true);
  for (uint64_t id = 1; id <= profile_.nodes && violation_.empty(); ++id) {
    if (!cluster_.node(id).open()) Open(id);
  }
  const uint64_t end_ns = cluster_.now_ns() + kHealNs;
  while (violation_.empty() && (!AllAlike() || !calls_.empty())) {
    if (cluster_.now_ns() >= end_ns) return Violate("not well again in time: " + Describe());
    Run(kSecond / 10);
  }
  for (Stream& stream : streams_) {
    for (uint64_t id : cluster_.Members(stream.group)) {
      const std::string content = cluster_.ContentOf(id, stream.name, stream.group);
      stream.history.Finish(content);
      CheckPayload(id, stream);
    }
  }
}

std::string World::Describe() {
  std::string text = std::to_string(calls_.size()) + " calls";
  for (uint64_t id = 1; id <= profile_.nodes; ++id) {
    const peers::HubStats& hub = cluster_.node(id).hub().stats();
    text += "; node " + std::to_string(id) + " has sent " + std::to_string(hub.sent_letters) +
            " letters, dropped " + std::to_string(hub.dropped_letters) + ", " +
            std::to_string(hub.waiting_bytes) + " bytes wait";
  }
  for (uint32_t group = 0; group < profile_.options.groups; ++group) {
    for (uint64_t id = 1; id <= profile_.nodes; ++id) {
      Replica& replica = cluster_.replica(id, group);
      text += "; group " + std::to_string(group) + " node " + std::to_string(id) + ": term " +
              std::to_string(Raw(replica.term())) + " leader " +
              std::to_string(Raw(replica.leader())) + " applied " +
              std::to_string(Raw(replica.applied()));
      if (Status log = cluster_.node(id).wal().Ready(); !log.ok()) text += " log: " + log.message();
      for (const raft::PeerStatus& peer : replica.Peers()) {
        text += " " + std::to_string(Raw(peer.id)) + ":" +
                std::to_string(static_cast<int>(peer.state)) + "/" +
                std::to_string(Raw(peer.match)) + "/" + std::to_string(Raw(peer.next));
        if (peer.paused) text += "p";
      }
      if (replica.installing()) text += " installing";
      if (replica.lacking_bytes() > 0) text += " lacking";
      if (!replica.Ready().ok()) text += " (" + replica.Ready().message() + ")";
    }
  }
  return text;
}

// Each replica has all bytes itself.
void World::CheckPayload(uint64_t node, const Stream& stream) {
  Replica& replica = cluster_.replica(node, stream.group);
  replica.Flush();
  if (!cluster_.RunUntil([&] { return replica.unflushed_bytes() == 0; })) {
    return Violate("payload isn't written out");
  }
  const stream::LookupResult found = replica.machine().Lookup(NameOf(stream.name), replica.NowMs());
  const uint64_t end =
      cluster_.node(node).payload().Find({GroupId{stream.group}, Raw(found.incarnation)}, 0);
  if (end < found.tail) {
    Violate("node " + std::to_string(node) + " has " + std::to_string(end) + " bytes of " +
            std::to_string(found.tail));
  }
}

void World::Violate(const std::string& what) {
  if (!violation_.empty()) return;
  violation_ = "at " + std::to_string(cluster_.now_ns() / 1'000'000) + " ms: " + what;
  Say(violation_);
}

void World::Note(uint64_t what, uint64_t value) {
  trace_ = ursula::sim::Mix(trace_, what);
  trace_ = ursula::sim::Mix(trace_, value);
  trace_ = ursula::sim::Mix(trace_, cluster_.now_ns());
}

void World::Say(const std::string& what) {
  if (!verbose_) return;
  std::printf("%8llu ms  %s\n", static_cast<unsigned long long>(cluster_.now_ns() / 1'000'000),
              what.c_str());
}

}  // namespace ursula::group::sim
