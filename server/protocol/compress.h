// server/protocol/compress.h
//
// Content coding of finite bodies, in steps: a body may be large, and who compresses it serves
// others too.

#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "server/protocol/config.h"
#include "server/protocol/http_message.h"
#include "server/protocol/negotiation.h"
#include "ursula/bytes.h"

namespace ursula::protocol {

// A coding's encoder with its state: some 300 KiB for gzip, at most 1 MiB for zstd.
class BodyEncoder {
 public:
  virtual ~BodyEncoder() = default;
  // Encodes `data`, the body's last piece if `last`, and appends what has become of it to `out`.
  // False: the encoder failed.
  virtual bool Add(std::string_view data, bool last, std::vector<Bytes>* out) = 0;
};

// Turns a 200 into its compressed form, with Content-Encoding and the ETag of that representation;
// or leaves it alone, if it would not get smaller.
class Compression {
 public:
  // False: the coding is identity, the body is small or of a type that is compressed already.
  static bool Wanted(const Response& response, ContentCoding coding, const ProtocolConfig& config);

  // REQUIRES: Wanted.
  Compression(Response response, ContentCoding coding);

  bool done() const { return done_; }
  std::size_t bytes_left() const { return bytes_left_; }  // Of the plain body.
  // Takes at most `bytes_max` more of the body. The encoder lives from the first call to the end.
  // REQUIRES: !done(), bytes_max > 0.
  void Step(std::size_t bytes_max);
  Response TakeResponse();  // REQUIRES: done(). Once.

 private:
  void End(bool smaller);

  Response response_;
  const ContentCoding coding_;
  std::unique_ptr<BodyEncoder> encoder_;
  std::size_t bytes_left_;
  std::size_t part_ = 0;     // Of the body: the next to be taken,
  std::size_t part_at_ = 0;  // from here.
  std::vector<Bytes> out_;
  std::size_t out_bytes_max_;  // It has to stay below.
  std::size_t out_bytes_ = 0;
  bool done_ = false;
};

// Of an answer whose body is coded so: its Content-Encoding, and the ETag of that representation.
void SetCoding(Response* response, ContentCoding coding);

}  // namespace ursula::protocol
