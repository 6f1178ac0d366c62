#include "server/http/live_hub.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "lib/base/check.h"

namespace ursula::http {
namespace {

constexpr uint64_t kWaitMs = 30'000;  // Then it asks again.
// News that wait, those that are being told included: while members get theirs, the next read
// waits at the tail, so that the stream has a reader and doesn't expire.
constexpr std::size_t kNewsMax = 2;
constexpr std::size_t kMembersAtOnce = 16;  // Of one stream, before it is another's turn.

auto KeyOf(const ReadRequest& request) {
  return std::tie(*request.incarnation, request.stream.name, request.stream.affinity,
                  request.stream.bucket);
}

bool HasEnded(const Result<ReadReply>& read) { return !read.ok() || read->outcome != Outcome::kOk; }

bool IsLast(const Result<ReadReply>& read) {
  return HasEnded(read) || (read->up_to_date && read->info.closed);
}

}  // namespace

// What hangs on one stream. `hub` is null once nobody does.
struct LiveTail {
  LiveHub* hub = nullptr;
  ReadRequest request = {};  // The next, or the one under way.
  Ticket ticket = 0;
  bool over = false;  // Nothing more is read.
  std::size_t members = 0;
  std::vector<LiveNews> news = {};     // In order; holds no memory while empty.
  IntrusiveList<LiveMember> due = {};  // Are to be told the first of the news.
  IntrusiveList<LiveMember> waiting = {};
};

bool LiveHub::Order::operator()(const TailPtr& a, const TailPtr& b) const {
  return KeyOf(a->request) < KeyOf(b->request);
}
bool LiveHub::Order::operator()(const TailPtr& a, const ReadRequest& b) const {
  return KeyOf(a->request) < KeyOf(b);
}
bool LiveHub::Order::operator()(const ReadRequest& a, const TailPtr& b) const {
  return KeyOf(a) < KeyOf(b->request);
}

LiveHub::LiveHub(io::Loop* loop) : loop_(loop) { timer_.Then<&LiveHub::OnTimer>(this); }

LiveHub::~LiveHub() { URSULA_CHECK(tails_.empty()); }

// ---- members -----------------------------------------------------------------------------------

bool LiveHub::Join(LiveMember* member, const ReadRequest& request) {
  URSULA_CHECK(request.incarnation.has_value() && member->tail_ == nullptr);
  auto found = tails_.find(request);
  if (found != tails_.end() && request.from < (*found)->request.from) return false;
  if (found == tails_.end()) {
    auto tail = std::make_shared<LiveTail>();
    tail->hub = this;
    tail->request = request;
    tail->request.wait_ms = kWaitMs;
    tail->request.kept.reset();  // News bring their bytes.
    found = tails_.insert(std::move(tail)).first;
    ReadOn(*found);
  }
  ++(*found)->members;
  member->tail_ = found->get();
  member->position_ = request.from;
  (*found)->waiting.PushBack(member);
  return true;
}

void LiveHub::Leave(LiveMember* member) {
  URSULA_CHECK(member->tail_ != nullptr);
  LiveTail* tail = std::exchange(member->tail_, nullptr);
  if (member->linked()) member->Unlink();
  if (--tail->members == 0) Forget(tail);
}

bool LiveHub::HasNews(const LiveMember& member) {
  URSULA_CHECK(member.tail_ != nullptr);
  return member.tail_->over || member.position_ < member.tail_->request.from;
}

// Nobody hangs on it any more.
void LiveHub::Forget(LiveTail* tail) {
  tail->hub = nullptr;
  if (tail->ticket != 0) engine_->Cancel(tail->ticket);
  if (!tail->over) tails_.erase(tails_.find(tail->request));
}

// ---- reading -----------------------------------------------------------------------------------

void LiveHub::ReadOn(const TailPtr& tail) {
  if (tail->over || tail->ticket != 0 || tail->news.size() >= kNewsMax) return;
  tail->ticket = engine_->Read(tail->request, [tail](Result<ReadReply> read) {
    tail->ticket = 0;
    if (tail->hub != nullptr) tail->hub->OnRead(tail, std::move(read));
  });
}

void LiveHub::OnRead(const TailPtr& tail, Result<ReadReply> read) {
  const bool last = IsLast(read);
  if (!last && read->next == tail->request.from) return ReadOn(tail);  // Its time is over.
  if (last) {
    tails_.erase(tails_.find(tail->request));  // Who comes now finds out what it is.
    tail->over = true;
  }
  if (!HasEnded(read)) tail->request.from = read->next;
  tail->news.push_back({std::move(read)});
  if (tail->news.size() == 1) BeginNews(tail);
  ReadOn(tail);
}

// ---- telling -----------------------------------------------------------------------------------

// From the next turn on: what else this turn sends, the writer's answer above all, goes first. And
// where the CPUs are few, readers and writer may have one of them between two turns.
void LiveHub::BeginNews(const TailPtr& tail) {
  tail->due.Splice(&tail->waiting);
  telling_.push_back(tail);
  if (tail->members > kTurnMembersMax) loop_->LetOthersRun();
  if (!timer_.running()) loop_->StartTimer(&timer_, loop_->now_ns());
}

void LiveHub::EndNews(const TailPtr& tail) {
  if (tail->hub == nullptr) return;
  tail->news.erase(tail->news.begin());
  if (!tail->news.empty()) {
    BeginNews(tail);
  } else {
    URSULA_CHECK(!tail->over);  // The last news leave nobody behind.
    tail->news = {};
  }
  ReadOn(tail);
}

void LiveHub::OnTimer() {
  std::size_t members = 0;
  std::size_t bytes = 0;
  while (!telling_.empty() && members < kTurnMembersMax && bytes < kTurnBytesMax) {
    TailPtr tail = std::move(telling_.front());
    telling_.pop_front();
    const std::size_t turn = std::min(kMembersAtOnce, kTurnMembersMax - members);
    for (std::size_t i = 0; i < turn && bytes < kTurnBytesMax; ++i) {
      LiveMember* member = tail->due.PopFront();
      if (member == nullptr) break;
      bytes += Tell(tail.get(), member);
      ++members;
    }
    if (tail->due.empty()) {
      EndNews(tail);
    } else {
      telling_.push_back(std::move(tail));
    }
  }
  if (telling_.empty()) return;
  loop_->LetOthersRun();
  if (!timer_.running()) loop_->StartTimer(&timer_, loop_->now_ns());
}

std::size_t LiveHub::Tell(LiveTail* tail, LiveMember* member) {
  LiveNews& news = tail->news.front();
  if (HasEnded(news.read)) {
    Leave(member);
    member->OnReadEnded(news.read);
    return 0;
  }
  const ReadReply& reply = *news.read;
  if (member->position_ == reply.start) {
    member->position_ = reply.next;
    tail->waiting.PushBack(member);
    member->OnNews(&news);
    return news.frame ? news.frame->chunk.size() : 0;
  }
  if (member->position_ >= reply.next && !tail->over) {
    tail->waiting.PushBack(member);  // It has read that itself, and waits for what follows.
    return 0;
  }
  Leave(member);
  member->OnBehind();
  return 0;
}

}  // namespace ursula::http
