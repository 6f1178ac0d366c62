#include "tests/model/stream_twin.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

namespace ursula::stream {
namespace {

using State = ModelStream::State;

std::string Number(uint64_t value) { return std::to_string(value); }

bool SameInfo(const StreamInfo& a, const StreamInfo& b) {
  return a.content_type == b.content_type && a.start == b.start && a.tail == b.tail &&
         a.closed == b.closed && a.lifetime == b.lifetime && a.incarnation == b.incarnation;
}

bool SameAppend(const AppendReply& a, const AppendReply& b) {
  return a.outcome == b.outcome && a.start == b.start && a.tail == b.tail && a.closed == b.closed &&
         a.producer_epoch == b.producer_epoch && a.producer_sequence == b.producer_sequence &&
         a.producer_expected_sequence == b.producer_expected_sequence &&
         a.incarnation == b.incarnation;
}

std::string CompareReplies(const Reply& got, const Reply& want) {
  if (got.outcome != want.outcome) {
    return "outcome " + Number(static_cast<uint64_t>(got.outcome)) + ", the model says " +
           Number(static_cast<uint64_t>(want.outcome));
  }
  if (!SameAppend(got.append, want.append)) return "append reply";
  if (!SameInfo(got.info, want.info)) return "info";
  if (got.incarnation != want.incarnation) return "incarnation";
  if (got.placement != want.placement) return "placement";
  if (got.resolution != want.resolution) return "resolution";
  if (got.reservation_lapsed != want.reservation_lapsed) return "reservation_lapsed";
  if (got.unresolved != want.unresolved) return "unresolved";
  if (got.lives_before != want.lives_before) return "lives_before";
  if (got.attempt != want.attempt) return "attempt";
  if (got.settled_through != want.settled_through) return "settled_through";
  return "";
}

std::set<uint64_t> AsSet(const Incarnations& ids) {
  std::set<uint64_t> set;
  for (Incarnation id : ids) set.insert(Raw(id));
  return set;
}

}  // namespace

StreamTwin::StreamTwin(GroupId group, uint64_t history)
    : group_(group), machine_(std::make_unique<Machine>(group, history)), model_(group, history) {}

std::string StreamTwin::Apply(const Command& command) {
  ++index_;
  Bytes encoded = Encode(command);
  Result<Command> decoded = Decode(encoded);
  if (!decoded.ok()) return "decode: " + decoded.status().ToString();
  if (*decoded != command) return "decoded to another command";
  bool unseen = ExpiresForFork(command);
  Reply preview = machine_->Preview(*decoded, command.now_ms);
  ApplyResult got = machine_->Apply(Index{index_}, *decoded);
  ModelResult want = model_.Apply(index_, command);
  outcomes_.insert(got.reply.outcome);
  std::string difference = CompareResults(got, want);
  if (!difference.empty()) return difference;
  if (!unseen && preview.outcome != got.reply.outcome) return "preview";
  if (got.appended) {
    uint64_t incarnation = Raw(got.appended->incarnation);
    std::string& payload = payload_[incarnation];
    if (payload.empty()) payload_start_[incarnation] = got.appended->start;
    if (payload_start_[incarnation] + payload.size() != got.appended->start) return "payload gap";
    payload += got.appended->payload.view();
  }
  for (Incarnation freed : got.freed) {
    payload_.erase(Raw(freed));
    payload_start_.erase(Raw(freed));
  }
  return "";
}

// A fork whose name or source is due: what the expiry of these does to others (it may free sources
// and names), a preview can't see.
bool StreamTwin::ExpiresForFork(const Command& command) const {
  const CreateFork* fork = std::get_if<CreateFork>(&command.body);
  if (fork == nullptr) return false;
  auto due = [&](const StreamId& id) {
    return machine_->Lookup(id, command.now_ms).kind == LookupResult::Kind::kExpired;
  };
  return due(fork->stream.id) || due(fork->point.source);
}

std::string StreamTwin::CompareResults(const ApplyResult& got, const ModelResult& want) {
  if (std::string difference = CompareReplies(got.reply, want.reply); !difference.empty()) {
    return difference;
  }
  if (got.appended.has_value() != want.appended.has_value()) return "appended or not";
  if (got.appended && (got.appended->incarnation != want.appended->incarnation ||
                       got.appended->start != want.appended->start ||
                       got.appended->payload != want.appended->payload)) {
    return "appended";
  }
  if (AsSet(got.freed) != want.freed || got.freed.size() != want.freed.size()) return "freed";
  if (AsSet(got.changed) != want.changed || got.changed.size() != want.changed.size()) {
    return "changed";
  }
  return "";
}

std::string StreamTwin::CompareState(const std::vector<StreamId>& ids) {
  for (const StreamId& id : ids) {
    if (std::string difference = CompareName(id); !difference.empty()) return difference;
  }
  uint64_t live = 0;
  std::optional<int64_t> next;
  for (const ModelStream& stream : model_.streams()) {
    if (std::string difference = CompareContent(stream); !difference.empty()) return difference;
    if (stream.state == State::kLive) ++live;
    std::optional<int64_t> deadline = model_.Deadline(stream);
    if (deadline && (!next || *deadline < *next)) next = deadline;
  }
  if (machine_->stream_count() != live) return "stream_count";
  if (machine_->NextDeadline() != next) return "next deadline";
  uint64_t own = 0;
  machine_->ForEachOwnRange([&](const ReadRange&) { ++own; });
  if (own != payload_.size()) return "own ranges";
  if (std::string difference = CompareLists(); !difference.empty()) return difference;
  return CompareCluster();
}

std::string StreamTwin::CompareName(const StreamId& id) {
  using Kind = LookupResult::Kind;
  LookupResult got = machine_->Lookup(id, 0);
  Kind want = model_.placements().count(id) != 0 ? Kind::kElsewhere : Kind::kNotFound;
  const ModelStream* found = nullptr;
  for (const ModelStream& stream : model_.streams()) {
    if (stream.id != id) continue;
    if (stream.state != State::kLive && stream.state != State::kSoftDeleted) continue;
    found = &stream;
    want = stream.state == State::kSoftDeleted ? Kind::kSoftDeleted
           : model_.IsDue(stream)              ? Kind::kExpired
                                               : Kind::kFound;
  }
  if (got.kind != want) return "lookup of " + id.name;
  if (want == Kind::kElsewhere && *got.placement != model_.placements().at(id)) return "placement";
  if (found == nullptr) return "";
  if (Raw(got.incarnation) != found->number) return "lookup: incarnation";
  if (got.tail != found->content.size() || got.closed != found->closed) return "lookup: tail";
  if (got.content_type != found->content_type) return "lookup: content type";
  if (got.deadline_ms != model_.Deadline(*found)) return "lookup: deadline";
  if (machine_->IdOf(got.incarnation) != id) return "lookup: id";
  return "";
}

std::string StreamTwin::CompareContent(const ModelStream& stream) {
  Incarnation incarnation{stream.number};
  for (uint64_t from = 0; from <= stream.content.size() + 1; from += 1 + from / 2) {
    for (uint64_t count : {uint64_t{3}, uint64_t{1} << 40}) {
      std::string content;
      uint64_t at = from;
      for (const ReadRange& range : machine_->PlanRead(incarnation, from, count)) {
        if (range.from != at || range.to <= range.from) return "read plan isn't contiguous";
        auto payload = payload_.find(Raw(range.owner));
        if (payload == payload_.end()) return "read plan names freed payload";
        uint64_t start = payload_start_[Raw(range.owner)];
        if (range.from < start) return "read plan before the owner's payload";
        content += payload->second.substr(range.from - start, range.to - range.from);
        at = range.to;
      }
      std::string want =
          from < stream.content.size() ? stream.content.substr(from, count) : std::string();
      if (content != want) return "content of " + stream.id.name + " from " + Number(from);
    }
  }
  return "";
}

std::string StreamTwin::CompareLists() {
  for (const std::string& bucket : {std::string("v1"), std::string("bucket")}) {
    std::set<std::string> want;
    for (const ModelStream& stream : model_.streams()) {
      if (stream.state != State::kLive || model_.IsDue(stream) || stream.id.bucket != bucket) {
        continue;
      }
      std::string path = stream.id.affinity;
      path += stream.id.affinity.empty() ? "" : "/";
      want.insert(path + stream.id.name);
    }
    std::vector<std::string> got;
    ListRequest request;
    request.bucket = bucket;
    request.limit = 2;
    for (bool more = true; more;) {
      ListReply page = machine_->List(request, 0);
      for (const ListReply::Stream& stream : page.streams) got.push_back(stream.path);
      more = page.more;
      if (more) request.after = got.back();
      if (more && page.streams.size() != 2) return "a short page";
    }
    if (got != std::vector<std::string>(want.begin(), want.end())) return "list of " + bucket;
  }
  return "";
}

std::string StreamTwin::CompareCluster() {
  for (const std::string& name : {std::string("bucket"), std::string("other")}) {
    std::optional<BucketInfo> got = machine_->BucketFind(name);
    auto want = model_.buckets().find(name);
    if (got.has_value() != (want != model_.buckets().end())) return "bucket";
    if (got &&
        (Raw(got->incarnation) != want->second.number || got->deleting != want->second.deleting)) {
      return "bucket state";
    }
  }
  std::set<std::string> deleting;
  for (const auto& [name, bucket] : model_.buckets()) {
    if (bucket.deleting) deleting.insert(name);
  }
  std::vector<std::string> got = machine_->DeletingBuckets();
  if (std::set<std::string>(got.begin(), got.end()) != deleting || got.size() != deleting.size()) {
    return "deleting buckets";
  }
  std::set<uint64_t> releases;
  for (const StreamModel::Gone& gone : model_.gone()) releases.insert(gone.fork);
  std::vector<Release> outbox = machine_->Outbox(1000);
  if (outbox.size() != releases.size()) return "outbox size";
  if (!std::ranges::is_sorted(outbox, {}, &Release::applied)) return "order of the outbox";
  for (const Release& release : outbox) {
    if (releases.count(Raw(release.fork)) == 0) return "outbox";
  }
  uint64_t pending = 0;
  for (const auto& [id, placement] : model_.placements()) pending += placement.confirmed ? 0 : 1;
  return machine_->PendingReservations(1000).size() == pending ? "" : "pending reservations";
}

std::string StreamTwin::Restore(bool full) {
  constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  std::string difference;
  BeginSnapshot(full, {kAll, kAll});
  return StepSnapshot(&difference) ? difference : "not in one go";
}

void StreamTwin::BeginSnapshot(bool full, CollectionStep step) {
  if (history_.empty()) full = true;
  if (full) {
    records_.clear();
    history_.clear();
  }
  collection_.emplace(machine_.get(), full, step);
}

bool StreamTwin::StepSnapshot(std::string* difference) {
  Machine::Emit emit = [this](std::string_view key, std::optional<std::string_view> value) {
    std::optional<std::string> copy;
    if (value) copy = std::string(*value);
    if (copy) {
      records_[std::string(key)] = *copy;
    } else {
      records_.erase(std::string(key));
    }
    history_.emplace_back(std::string(key), std::move(copy));
  };
  if (!collection_->Step(&emit)) return false;
  collection_.reset();
  *difference = RestoreCollected();
  return true;
}

std::string StreamTwin::RestoreCollected() {
  std::map<char, std::size_t> kinds;
  for (const auto& [key, value] : records_) ++kinds[key.front()];
  if (kinds['s'] != model_.streams().size()) return "stream records";
  if (kinds['p'] != model_.placements().size()) return "placement records";
  if (kinds['b'] != model_.buckets().size()) return "bucket records";
  if (kinds['o'] != model_.gone().size()) return "release records";
  if (kinds['v'] != model_.asked().size()) return "records of reservations asked for";
  // The records one by one, as base and deltas; and what they amount to.
  auto restored = std::make_unique<Machine>(group_);
  for (const auto& [key, value] : history_) {
    Status status =
        restored->LoadRecord(key, value ? std::optional<std::string_view>(*value) : std::nullopt);
    if (!status.ok()) return status.ToString();
  }
  Machine merged(group_);
  for (const auto& [key, value] : records_) {
    if (Status status = merged.LoadRecord(key, value); !status.ok()) return status.ToString();
  }
  for (Machine* machine : {restored.get(), &merged}) {
    if (Status status = machine->FinishLoad(); !status.ok()) return status.ToString();
    if (machine->StateHash() != machine_->StateHash()) return "hash after restore";
  }
  machine_ = std::move(restored);
  return "";
}

}  // namespace ursula::stream
