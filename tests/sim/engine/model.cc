#include "tests/sim/engine/model.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "lib/base/check.h"
#include "lib/engine/placement.h"
#include "tests/sim/seeds/hash.h"

namespace ursula::engine::sim {
namespace {

using Life = ModelStream::Life;
using ursula::sim::HashBytes;
using ursula::sim::Mix;

std::string Media(std::string_view content_type) {
  std::string media;
  for (char c : content_type.substr(0, content_type.find(';'))) {
    if (c != ' ') media.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  return media;
}

std::string PathOf(const StreamId& id) {
  return id.affinity.empty() ? id.name : id.affinity + "/" + id.name;
}

uint64_t LifetimeHash(const Lifetime& lifetime) {
  uint64_t hash = Mix(lifetime.ttl_seconds.value_or(0), lifetime.ttl_seconds.has_value());
  return Mix(hash, static_cast<uint64_t>(lifetime.expires_at_ms.value_or(0)));
}

}  // namespace

bool IsJsonType(std::string_view content_type) { return Media(content_type) == "application/json"; }

bool SameMediaType(std::string_view a, std::string_view b) { return Media(a) == Media(b); }

std::string StoredForm(const std::vector<Bytes>& messages, bool json) {
  std::string stored;
  for (const Bytes& message : messages) {
    stored += message.view();
    if (json) stored += ",\n";
  }
  return stored;
}

bool ModelStream::json() const { return IsJsonType(content_type); }

std::vector<uint64_t> ModelStream::MessageEnds(uint64_t from, uint64_t to) const {
  std::vector<uint64_t> ends;
  if (json()) {
    for (uint64_t at = from; at < to; ++at) {
      if (content[at] == '\n') ends.push_back(at + 1);
    }
    return ends;
  }
  for (uint64_t end : append_ends) {
    if (end > from && end <= to) ends.push_back(end);
  }
  return ends;
}

std::optional<Interval> ModelStream::Deadline() const {
  if (life != Life::kLive) return std::nullopt;
  if (effective.ttl_seconds) {
    const auto ttl_ms = static_cast<int64_t>(*effective.ttl_seconds) * 1000;
    return Interval{last_use.from + ttl_ms, last_use.until + ttl_ms};
  }
  if (effective.expires_at_ms) return Interval{*effective.expires_at_ms, *effective.expires_at_ms};
  return std::nullopt;
}

const ModelStream* Model::Find(const StreamId& id) const {
  for (const auto& stream : streams_) {
    if (stream->id == id && stream->life != Life::kDetached && stream->confirmed) {
      return stream.get();
    }
  }
  return nullptr;
}

const ModelStream* Model::Hidden(const StreamId& id) const {
  for (const auto& stream : streams_) {
    if (stream->id == id && stream->life != Life::kDetached && !stream->confirmed) {
      return stream.get();
    }
  }
  return nullptr;
}

const ModelStream* Model::Numbered(uint64_t number) const {
  for (const auto& stream : streams_) {
    if (stream->number == number) return stream.get();
  }
  return nullptr;
}

ModelStream* Model::Edit(uint64_t number) {
  for (auto& stream : streams_) {
    if (stream->number != number) continue;
    auto copy = std::make_shared<ModelStream>(*stream);
    ModelStream* raw = copy.get();
    stream = std::move(copy);
    return raw;
  }
  return nullptr;
}

std::vector<std::shared_ptr<const ModelStream>> Model::Visible() const {
  std::vector<std::shared_ptr<const ModelStream>> visible;
  for (const auto& stream : streams_) {
    if (stream->life != Life::kDetached && stream->confirmed) visible.push_back(stream);
  }
  return visible;
}

ModelStream* Model::Add(const Operation& operation, const CreateRequest& request) {
  auto stream = std::make_shared<ModelStream>();
  stream->number = next_number_++;
  stream->id = request.stream;
  stream->maker = operation.number;
  stream->group = Raw(GroupOf(request.stream, group_count_));
  stream->content_type =
      request.content_type.empty() ? "application/octet-stream" : request.content_type;
  stream->closed = request.closed;
  stream->given = stream->effective = request.lifetime;
  stream->last_use = operation.times[stream->group];
  stream->sequence = request.sequence;
  ModelStream* raw = stream.get();
  streams_.push_back(std::move(stream));
  return raw;
}

bool Model::Reads(const ModelStream& fork, uint64_t ancestor) const {
  for (const ModelStream* at = &fork; at != nullptr && at->source != 0;) {
    if (at->source == ancestor) return true;
    at = Numbered(at->source);
  }
  return false;
}

// An ended stream is gone once no fork reads from it; then perhaps its source is, too.
void Model::Free(uint64_t number) {
  while (number != 0) {
    const ModelStream* stream = Numbered(number);
    if (stream == nullptr || stream->life == Life::kLive) return;
    for (const auto& other : streams_) {
      if (other->source == number) return;
    }
    const uint64_t source = stream->source;
    std::erase_if(streams_, [&](const auto& one) { return one->number == number; });
    number = source;
  }
}

void Model::End(uint64_t number, Life life) {
  Edit(number)->life = life;
  Free(number);
}

bool Model::HasNames(const std::string& bucket) const {
  return std::any_of(streams_.begin(), streams_.end(), [&](const auto& stream) {
    return stream->id.bucket == bucket && stream->life != Life::kDetached;
  });
}

bool Model::AwaitsConfirm(uint64_t maker) const {
  return std::any_of(streams_.begin(), streams_.end(), [&](const auto& stream) {
    return stream->maker == maker && !stream->confirmed;
  });
}

void Model::Confirm(uint64_t maker) {
  for (const auto& stream : streams_) {
    if (stream->maker != maker || stream->confirmed) continue;
    Edit(stream->number)->confirmed = true;
    return;
  }
}

void Model::ConfirmAll() {
  for (auto& stream : streams_) {
    if (!stream->confirmed) Edit(stream->number)->confirmed = true;
  }
}

void Model::ExpireAll(const Moments& now_ms, void (*expired)(const ModelStream&)) {
  std::vector<uint64_t> due;
  for (const auto& stream : streams_) {
    const std::optional<Interval> deadline = stream->Deadline();
    if (!deadline || deadline->until > now_ms[stream->group]) continue;
    expired(*stream);
    due.push_back(stream->number);
  }
  for (uint64_t number : due) End(number, Life::kDetached);
}

std::vector<Model> Model::Aged(const std::vector<StreamId>& names, const Intervals& now) const {
  std::vector<Model> variants{*this};
  for (const StreamId& id : names) {
    std::vector<Model> more;
    for (const Model& variant : variants) variant.AgeOne(id, now, &more);
    variants = std::move(more);
  }
  return variants;
}

// What the name is may hang on the name's own deadline; on the deadlines of forks, which hold what
// was deleted; and on whether a fork of another group is known here yet.
void Model::AgeOne(const StreamId& id, const Intervals& now, std::vector<Model>* variants) const {
  if (const ModelStream* hidden = Hidden(id); hidden != nullptr && Find(id) == nullptr) {
    Model known = *this;
    known.Confirm(hidden->maker);
    known.AgeOne(id, now, variants);
  }
  const ModelStream* stream = Find(id);
  if (stream == nullptr) return variants->push_back(*this);
  if (const std::optional<Interval> deadline = stream->Deadline()) {
    const Interval here = now[stream->group];
    if (deadline->from <= here.until) {
      Model expired = *this;
      expired.End(stream->number, Life::kDetached);
      expired.AgeOne(id, now, variants);  // The name may be free now, or hide another.
    }
    if (deadline->until <= here.from) return;
    Model alive = *this;
    if (stream->effective.ttl_seconds && deadline->from <= here.from) {
      const auto ttl_ms = static_cast<int64_t>(*stream->effective.ttl_seconds) * 1000;
      alive.Edit(stream->number)->last_use.from = here.from - ttl_ms;
    }
    return variants->push_back(std::move(alive));
  }
  if (stream->life == Life::kSoftDeleted) {
    for (const auto& fork : streams_) {
      const std::optional<Interval> deadline = fork->Deadline();
      if (!deadline || deadline->from > now[fork->group].until || !Reads(*fork, stream->number))
        continue;
      Model expired = *this;
      expired.End(fork->number, Life::kDetached);
      expired.AgeOne(id, now, variants);
    }
  }
  variants->push_back(*this);
}

bool Model::Learn(uint64_t number, uint64_t incarnation) {
  const ModelStream* stream = Numbered(number);
  if (stream->incarnation != 0) return stream->incarnation == incarnation;
  if (incarnation == 0) return false;
  if (std::ranges::find(*incarnations_, incarnation) != incarnations_->end()) return false;
  if (std::ranges::find(new_incarnations_, incarnation) != new_incarnations_.end()) return false;
  Edit(number)->incarnation = incarnation;
  new_incarnations_.push_back(incarnation);
  return true;
}

void Model::Settle() {
  if (new_incarnations_.empty()) return;
  auto all = std::make_shared<std::vector<uint64_t>>(*incarnations_);
  all->insert(all->end(), new_incarnations_.begin(), new_incarnations_.end());
  incarnations_ = std::move(all);
  new_incarnations_.clear();
}

void Model::ForgetStreams() {
  streams_.clear();
  buckets_.clear();
  ending_.clear();
}

std::vector<StreamId> Model::NamesIn(const std::string& bucket) const {
  std::vector<StreamId> names;
  for (const auto& stream : streams_) {
    if (stream->id.bucket == bucket) names.push_back(stream->id);
  }
  return names;
}

void Model::WithEnding(const std::string& bucket, std::vector<Model>* variants) const {
  variants->push_back(*this);
  if (!ending_.contains(bucket) || HasNames(bucket)) return;
  Model ended = *this;
  ended.buckets_.erase(bucket);
  ended.ending_.erase(bucket);
  variants->push_back(std::move(ended));
}

void Model::EndDeletion(const std::string& bucket, const Intervals& now,
                        std::vector<Model>* after) const {
  if (!ending_.contains(bucket)) return after->push_back(*this);
  for (const Model& aged : Aged(NamesIn(bucket), now)) aged.WithEnding(bucket, after);
  for (Model& model : *after) model.ending_.erase(bucket);
}

std::string Model::ExplainList(const std::string& bucket, const ListReply& reply,
                               const Intervals& now, std::vector<Model>* after) const {
  std::string difference;
  std::vector<Model> variants;
  for (const Model& aged : Aged(NamesIn(bucket), now)) aged.WithEnding(bucket, &variants);
  for (Model& variant : variants) {
    std::string one = variant.CompareList(bucket, reply);
    if (one.empty()) {
      after->push_back(std::move(variant));
    } else {
      difference = std::move(one);
    }
  }
  return difference;
}

std::string Model::CompareList(const std::string& bucket, const ListReply& reply) const {
  if (bucket != kUpstreamBucket && !buckets_.contains(bucket)) {
    return reply.outcome == Outcome::kBucketNotFound ? "" : "listed a bucket that isn't there";
  }
  if (reply.outcome != Outcome::kOk) return "listing: " + ToText(reply.outcome);
  std::map<std::string, const ListReply::Stream*> listed;
  std::string last;
  for (const ListReply::Stream& stream : reply.streams) {
    if (!last.empty() && stream.path <= last) return "listing out of order: " + stream.path;
    last = stream.path;
    listed[stream.path] = &stream;
  }
  for (const auto& stream : streams_) {
    if (stream->id.bucket != bucket || stream->life != Life::kLive) continue;
    auto found = listed.find(PathOf(stream->id));
    if (found == listed.end()) {
      if (!stream->confirmed) continue;
      return "not listed: " + ToText(stream->id);
    }
    if (found->second->tail.bytes != stream->tail() || found->second->closed != stream->closed ||
        found->second->content_type != stream->content_type) {
      return "listed otherwise than it is: " + ToText(stream->id);
    }
    listed.erase(found);
  }
  return listed.empty() ? "" : "listed, though not there: " + listed.begin()->first;
}

uint64_t Model::HashOf(const ModelStream& stream) const {
  uint64_t hash = Mix(HashBytes(ToText(stream.id)), static_cast<uint64_t>(stream.life));
  hash = Mix(Mix(hash, stream.confirmed), stream.closed);
  hash = Mix(Mix(hash, stream.content_hash), stream.tail());
  hash = Mix(hash, HashBytes(stream.content_type));
  hash = Mix(Mix(hash, LifetimeHash(stream.given)), LifetimeHash(stream.effective));
  hash = Mix(Mix(hash, static_cast<uint64_t>(stream.last_use.from)),
             static_cast<uint64_t>(stream.last_use.until));
  hash = Mix(Mix(hash, HashBytes(stream.sequence)), stream.incarnation);
  for (const auto& [id, producer] : stream.producers) {
    hash = Mix(Mix(Mix(hash, HashBytes(id)), producer.epoch), producer.sequence);
  }
  if (stream.closing) hash = Mix(hash, HashBytes(stream.closing->id));
  if (!stream.confirmed) hash = Mix(hash, stream.maker);
  const ModelStream* source = Numbered(stream.source);
  return source == nullptr ? hash : Mix(Mix(hash, stream.inherited), HashOf(*source));
}

uint64_t Model::Hash() const {
  uint64_t hash = 0;
  for (const auto& stream : streams_) hash += HashOf(*stream) * 0x9e3779b97f4a7c15;
  for (const std::string& bucket : buckets_) hash = Mix(hash, HashBytes(bucket));
  for (const std::string& bucket : ending_) hash = Mix(hash, HashBytes(bucket) + 1);
  return hash;
}

}  // namespace ursula::engine::sim
