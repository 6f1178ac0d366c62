// server/http/page_cache.h
//
// PageCache: encoded pages that a core has given out, for those who ask for the same. What lies in
// a range of one life of a stream never changes, so neither does what is made of it; whether that
// is what a reader is to get the engine says each time (ReadRequest::kept): behind its barrier, of
// a stream that is there, in that life, with that tail where the page ended at it.
//
// A page that is being compressed is there already: who comes meanwhile waits for it. It is
// compressed for as long as somebody does.
//
// Invariant: the pages kept take at most bytes_max, each counted with all that keeps it.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/base/intrusive_list.h"
#include "lib/io/loop.h"
#include "lib/io/timer.h"
#include "server/http/chunk.h"
#include "server/http/compress_queue.h"
#include "server/http/counters.h"
#include "server/protocol/negotiation.h"
#include "ursula/bytes.h"
#include "ursula/engine.h"

namespace ursula::http {

// What is known of a page before the engine is asked. There is one of each at most.
struct PageKey {
  enum class Form : uint8_t { kBody, kLines, kEvent };

  StreamId stream = {};
  Offset start = {};
  Form form = Form::kBody;  // kLines: JSON lines, where the stream is JSON. kEvent: of SSE.
  protocol::ContentCoding coding = protocol::ContentCoding::kIdentity;  // As it was asked for.
  bool state_offsets = false;                                           // The same.
  friend bool operator==(const PageKey&, const PageKey&) = default;

  std::size_t Hash() const;
};

class PageCache;
class PageReader;

class Page : public ListHook<Page>, public std::enable_shared_from_this<Page> {
 public:
  const KeptPage& place() const { return place_; }
  bool made() const { return made_; }
  // REQUIRES: made().
  const std::vector<Bytes>& body() const { return body_; }  // Of kBody and kLines.
  bool coded() const { return coded_; }                     // In the key's coding: it got smaller.
  const Chunk& event() const { return event_; }             // Of kEvent: the data event.

 private:
  friend class PageCache;

  PageKey key_ = {};
  KeptPage place_ = {};
  bool from_append_start_ = false;  // `start` was found to be one.
  std::vector<Bytes> body_ = {};
  Chunk event_ = {};
  bool coded_ = false;
  bool made_ = false;
  bool again_ = false;          // Was given out since it is kept.
  std::size_t kept_bytes_ = 0;  // As it counts; 0: it isn't kept.
  std::size_t reader_count_ = 0;
  IntrusiveList<PageReader> waiting_;
  std::unique_ptr<CompressJob> job_ = {};  // While it isn't made.
};
using PagePtr = std::shared_ptr<Page>;

// Who is to be answered with a page. Holds one at most.
class PageReader : public ListHook<PageReader> {
 public:
  virtual ~PageReader() = default;  // REQUIRES: it holds none.

 protected:
  virtual void OnPageMade() {}  // After PageCache::Await.
  const PagePtr& page() const { return page_; }
  bool awaits_page() const { return linked(); }

 private:
  friend class PageCache;
  PagePtr page_ = nullptr;
};

class PageCache {
 public:
  // Who is given a page that was waited for, in one turn.
  static constexpr std::size_t kTurnReadersMax = 64;
  static constexpr std::size_t kTurnBytesMax = 1 << 20;  // The last one aside.
  static constexpr std::size_t kPageBytesMin = 1024;     // A smaller one is made as quickly.
  // Of the stored form: it is copied, in one turn.
  static constexpr std::size_t kCopyBytesMax = 4 << 20;

  PageCache(io::Loop* loop, CompressQueue* queue);  // Borrowed.
  ~PageCache();                                     // REQUIRES: nobody holds a page.

  // Before anything is kept. 0: nothing is, and nobody waits for another's page.
  void SetBytesMax(std::size_t bytes_max) { bytes_max_ = bytes_max; }
  void SetCounters(CoreCounters* counters) { counters_ = counters; }

  // `reader`, who holds none, holds what there is under `key`, if anything: its place is for
  // `request`, which reads at the key's start. Used says that the engine took it.
  bool Hold(PageReader* reader, const PageKey& key, const ReadRequest& request);
  void Used(PageReader* reader);
  // Holds and uses what there is of just the page that `reply` to `request` brings.
  bool HoldSame(PageReader* reader, const PageKey& key, const ReadRequest& request,
                const ReadReply& reply);
  void Drop(PageReader* reader);  // What it holds, if anything.

  // What was made of `reply` to `request`, since there was nothing of it. `shares`: the body shares
  // the reply's memory. Returns the body, in fewer pieces perhaps.
  std::vector<Bytes> Add(const PageKey& key, const ReadRequest& request, const ReadReply& reply,
                         std::vector<Bytes> body, bool shares);
  void AddEvent(const PageKey& key, const ReadRequest& request, const ReadReply& reply,
                std::string_view event);
  // The same of a body that is to be compressed. `reader`, who holds none, holds the page.
  void Compress(PageReader* reader, const PageKey& key, const ReadRequest& request,
                const ReadReply& reply, std::vector<Bytes> body);
  // OnPageMade follows, unless the reader drops it. REQUIRES: it holds a page that isn't made.
  void Await(PageReader* reader);

  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kSeenSlots = 512;

  struct Hash {
    std::size_t operator()(const PageKey& key) const { return key.Hash(); }
  };

  PagePtr NewPage(const PageKey& key, const ReadRequest& request, const ReadReply& reply) const;
  static bool IsShort(const ReadRequest& request, const ReadReply& reply);
  bool IsWorthKeeping(const ReadRequest& request, const ReadReply& reply) const;
  static std::size_t CountedBytes(const PageKey& key, std::size_t bytes, std::size_t parts);
  bool Fits(const PageKey& key, std::size_t bytes) const;
  bool WasSeen(const PageKey& key, const ReadReply& reply);
  void Take(PageReader* reader, PagePtr page);
  bool IsThere(const Page& page) const;
  void PutThere(const PagePtr& page);
  void Keep(Page* page);
  void SetUsed(Page* page);
  void MakeRoom();
  void Remove(Page* page);
  void OnCompressed(Page* page);
  void TellReaders();

  io::Loop* const loop_;
  CompressQueue* const queue_;
  CoreCounters* counters_ = nullptr;
  std::size_t bytes_max_ = 0;
  std::unordered_map<PageKey, PagePtr, Hash> pages_;
  IntrusiveList<Page> once_;   // Oldest first. These make room for others,
  IntrusiveList<Page> again_;  // before those that were given out, up to three quarters of all.
  std::size_t bytes_ = 0;
  std::size_t again_bytes_ = 0;
  std::array<uint64_t, kSeenSlots> seen_ = {};  // Hashes of pages that came by and aren't kept.
  IntrusiveList<PageReader> told_next_;
  io::Timer timer_;
};

}  // namespace ursula::http
