#include "lib/stream/stream_table.h"

#include <algorithm>
#include <optional>

#include "lib/base/check.h"

namespace ursula::stream {

StreamState* StreamTable::Find(Incarnation incarnation) const {
  if (last_found_ != nullptr && last_found_->incarnation == incarnation) return last_found_;
  auto found = streams_.find(incarnation);
  return found == streams_.end() ? nullptr : found->second.get();
}

StreamState* StreamTable::FindByKey(std::string_view key) const {
  auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  return last_found_ = *found;
}

StreamState* StreamTable::Add(Incarnation incarnation, std::string key,
                              std::string_view content_type) {
  URSULA_CHECK(streams_.empty() || streams_.rbegin()->first < incarnation);
  auto owned = std::make_unique<StreamState>();
  StreamState* stream = owned.get();
  stream->incarnation = incarnation;
  stream->set_key(key);
  stream->content_type = Intern(content_type);
  streams_.emplace_hint(streams_.end(), incarnation, std::move(owned));
  URSULA_CHECK(by_key_.insert(stream).second);
  names_.insert(stream);
  ++live_count_;
  MarkChanged(stream);
  return stream;
}

void StreamTable::SetDeadline(StreamState* stream, int64_t deadline_ms) {
  if (stream->deadline_ms == deadline_ms) return;
  if (stream->deadline_ms != kNever) {
    deadlines_.erase({stream->deadline_ms, stream->incarnation});
  }
  stream->deadline_ms = deadline_ms;
  if (deadline_ms != kNever) deadlines_.insert({deadline_ms, stream->incarnation});
  MarkChanged(stream);
}

void StreamTable::SetLife(StreamState* stream, Life life) {
  URSULA_CHECK(life != Life::kLive);
  URSULA_CHECK(stream->life != Life::kDetached);
  if (stream->life == Life::kLive) --live_count_;
  SetDeadline(stream, kNever);
  stream->life = life;
  if (life == Life::kDetached) {
    by_key_.erase(stream);
    names_.erase(stream);
  }
  MarkChanged(stream);
}

void StreamTable::Free(StreamState* stream) {
  URSULA_CHECK(stream->life == Life::kDetached);
  URSULA_CHECK(stream->fork_count() == 0);
  MarkChanged(stream);
  Unintern(stream->content_type);
  if (last_found_ == stream) last_found_ = nullptr;
  streams_.erase(stream->incarnation);
}

void StreamTable::MarkChanged(StreamState* stream) {
  if (stream->changed) return;
  stream->changed = true;
  marked_.push_back(stream->incarnation);
  ++marks_;
}

std::optional<Incarnation> StreamTable::TakeMarked() {
  if (marked_.empty()) return std::nullopt;
  Incarnation incarnation = marked_.front();
  marked_.pop_front();
  if (StreamState* stream = Find(incarnation); stream != nullptr) stream->changed = false;
  return incarnation;
}

const std::string* StreamTable::Intern(std::string_view content_type) {
  auto found = content_types_.find(content_type);
  if (found == content_types_.end()) {
    found = content_types_.emplace(std::string(content_type), 0).first;
  }
  ++found->second;
  return &found->first;
}

void StreamTable::Unintern(const std::string* content_type) {
  auto found = content_types_.find(*content_type);
  URSULA_CHECK(found != content_types_.end() && found->second > 0);
  if (--found->second == 0) content_types_.erase(found);
}

void StreamTable::Load(std::unique_ptr<StreamState> stream, std::string_view content_type) {
  Incarnation incarnation = stream->incarnation;
  Unload(incarnation);
  stream->content_type = Intern(content_type);
  streams_.emplace(incarnation, std::move(stream));
}

void StreamTable::Unload(Incarnation incarnation) {
  auto found = streams_.find(incarnation);
  if (found == streams_.end()) return;
  Unintern(found->second->content_type);
  if (last_found_ == found->second.get()) last_found_ = nullptr;
  streams_.erase(found);
}

Status StreamTable::BuildIndexes() {
  auto bad = [](const StreamState& stream, std::string_view what) {
    return Status(StatusCode::kDataLoss, "snapshot record of stream " +
                                             std::to_string(Raw(stream.incarnation)) + ": " +
                                             std::string(what));
  };
  for (const auto& [incarnation, owned] : streams_) {  // Ascending: a source before its forks.
    StreamState* stream = owned.get();
    if (stream->life != Life::kDetached) {
      if (!by_key_.insert(stream).second) return bad(*stream, "its name is taken");
      names_.insert(stream);
    }
    if (stream->life == Life::kLive) ++live_count_;
    if (stream->deadline_ms != kNever) {
      if (stream->life != Life::kLive) return bad(*stream, "a deadline after its end");
      deadlines_.insert({stream->deadline_ms, incarnation});
    }
    if (stream->fork == nullptr) continue;
    StreamState* source = Find(stream->fork->source);
    if (source == nullptr || source->incarnation >= incarnation) {
      return bad(*stream, "its source is missing");
    }
    if (stream->fork->offset > source->tail) return bad(*stream, "forked past its source's tail");
    ++source->more().fork_count;
    stream->fork->depth = source->fork == nullptr ? 1 : source->fork->depth + 1;
  }
  for (const auto& [incarnation, stream] : streams_) {
    if (stream->life != Life::kLive && stream->fork_count() == 0) {
      return bad(*stream, "kept though nothing reads from it");
    }
  }
  return {};
}

}  // namespace ursula::stream
