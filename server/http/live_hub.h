// server/http/live_hub.h
//
// LiveHub: the subscribers of one stream that have got all there was hang on their core's one read
// of it. What that read brings is encoded once and handed to them by reference, a few in each turn
// of the loop: the core's log, its other clients and the answer to the writer go in between
// (docs/decisions/0039).
//
// A member that can't take more leaves, catches up by reads of its own, and joins again; so it
// loses nothing. Members may be ahead of the read, never behind it.
//
// Invariant: a member is told what starts at its position or nothing, in order; a turn gives
// frames to kTurnMembersMax members at most, of all streams together.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>

#include "lib/base/intrusive_list.h"
#include "lib/io/loop.h"
#include "lib/io/timer.h"
#include "server/http/frame_cache.h"
#include "ursula/engine.h"

namespace ursula::http {

class LiveHub;
struct LiveTail;

// What the read of a stream has brought, for all of its members.
struct LiveNews {
  Result<ReadReply> read;
  // The frame of the first member that made one, for those whose cursor and form are the same.
  std::optional<Frame> frame = {};
  uint64_t cursor = 0;
  protocol::SseForm form = protocol::SseForm::kText;
};

class LiveMember : public ListHook<LiveMember> {
 public:
  virtual ~LiveMember() = default;

 protected:
  // From the hub, one at a time. Each may call Leave. After the first the member is still in the
  // hub; the others have taken it out.
  virtual void OnNews(LiveNews* news) = 0;  // It starts at the member's position.
  virtual void OnBehind() = 0;              // Something begins elsewhere: it has to look itself.
  virtual void OnReadEnded(const Result<ReadReply>& read) = 0;  // An error, or the stream is gone.

 private:
  friend class LiveHub;
  LiveTail* tail_ = nullptr;
  Offset position_ = {};
};

class LiveHub {
 public:
  static constexpr std::size_t kTurnMembersMax = 64;
  static constexpr std::size_t kTurnBytesMax = 1 << 20;  // Of frames, the last one aside.

  explicit LiveHub(io::Loop* loop);
  ~LiveHub();  // REQUIRES: nobody is in it.

  void SetEngine(StreamEngine* engine) { engine_ = engine; }  // Borrowed.

  // `member` has got all before `request.from` of the stream, which is `request.incarnation`.
  // False: the hub is past that already. The other fields hold for whoever comes first.
  bool Join(LiveMember* member, const ReadRequest& request);
  void Leave(LiveMember* member);  // REQUIRES: it is in.
  // Whether news for it wait for their turn. REQUIRES: it is in.
  static bool HasNews(const LiveMember& member);

 private:
  using TailPtr = std::shared_ptr<LiveTail>;  // A read under way keeps it, too.
  struct Order {
    using is_transparent = void;
    bool operator()(const TailPtr& a, const TailPtr& b) const;
    bool operator()(const TailPtr& a, const ReadRequest& b) const;
    bool operator()(const ReadRequest& a, const TailPtr& b) const;
  };

  void ReadOn(const TailPtr& tail);
  void OnRead(const TailPtr& tail, Result<ReadReply> read);
  void BeginNews(const TailPtr& tail);
  void EndNews(const TailPtr& tail);
  void Forget(LiveTail* tail);
  void OnTimer();
  std::size_t Tell(LiveTail* tail, LiveMember* member);  // Bytes of the frame.

  io::Loop* const loop_;
  StreamEngine* engine_ = nullptr;
  std::set<TailPtr, Order> tails_;
  std::deque<TailPtr> telling_;  // Those that have news.
  io::Timer timer_;              // The next turn.
};

}  // namespace ursula::http
