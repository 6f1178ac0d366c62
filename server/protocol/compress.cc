#include "server/protocol/compress.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "server/protocol/entity_tag.h"

namespace ursula::protocol {
namespace {

// The fastest levels: the core that compresses serves everyone else too.
constexpr int kGzipLevel = 1;
constexpr int kZstdLevel = 1;
constexpr std::size_t kBlockBytes = 64 << 10;

void AppendBlock(const char* block, std::size_t size, std::vector<Bytes>* out) {
  if (size > 0) out->push_back(Bytes::Copy({block, size}));
}

class GzipEncoder final : public BodyEncoder {
 public:
  GzipEncoder() {
    constexpr int kGzipWindowBits = 15 + 16;
    constexpr int kMemoryLevel = 8;
    ok_ = deflateInit2(&stream_, kGzipLevel, Z_DEFLATED, kGzipWindowBits, kMemoryLevel,
                       Z_DEFAULT_STRATEGY) == Z_OK;
  }
  ~GzipEncoder() override {
    if (ok_) deflateEnd(&stream_);
  }
  GzipEncoder(const GzipEncoder&) = delete;
  GzipEncoder& operator=(const GzipEncoder&) = delete;

  bool Add(std::string_view data, bool last, std::vector<Bytes>* out) override {
    if (!ok_) return false;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream_.avail_in = static_cast<uInt>(data.size());
    char block[kBlockBytes];
    for (;;) {
      stream_.next_out = reinterpret_cast<Bytef*>(block);
      stream_.avail_out = sizeof(block);
      if (deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR) return false;
      AppendBlock(block, sizeof(block) - stream_.avail_out, out);
      if (stream_.avail_out != 0) return true;
    }
  }

 private:
  z_stream stream_ = {};
  bool ok_ = false;
};

class ZstdEncoder final : public BodyEncoder {
 public:
  explicit ZstdEncoder(std::size_t body_bytes) : context_(ZSTD_createCCtx()) {
    if (context_ == nullptr) return;
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kZstdLevel);
    ZSTD_CCtx_setPledgedSrcSize(context_.get(), body_bytes);  // Its window is no larger then.
  }

  bool Add(std::string_view data, bool last, std::vector<Bytes>* out) override {
    if (context_ == nullptr) return false;
    char block[kBlockBytes];
    ZSTD_inBuffer input{data.data(), data.size(), 0};
    for (;;) {
      ZSTD_outBuffer output{block, sizeof(block), 0};
      std::size_t left = ZSTD_compressStream2(context_.get(), &output, &input,
                                              last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left)) return false;
      AppendBlock(block, output.pos, out);
      if (last ? left == 0 : input.pos == input.size) return true;
    }
  }

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context_;
};

std::unique_ptr<BodyEncoder> MakeEncoder(ContentCoding coding, std::size_t body_bytes) {
  if (coding == ContentCoding::kGzip) return std::make_unique<GzipEncoder>();
  return std::make_unique<ZstdEncoder>(body_bytes);
}

bool IsCompressedType(std::string_view content_type) {
  constexpr std::string_view kCompressed[] = {"application/zip", "application/gzip",
                                              "application/zstd", "application/x-gzip"};
  std::string media = MediaType(content_type);
  if (media.starts_with("image/") && media != "image/svg+xml") return true;
  return media.starts_with("video/") || media.starts_with("audio/") ||
         std::find(std::begin(kCompressed), std::end(kCompressed), media) != std::end(kCompressed);
}

}  // namespace

bool Compression::Wanted(const Response& response, ContentCoding coding,
                         const ProtocolConfig& config) {
  if (coding == ContentCoding::kIdentity || response.status != 200) return false;
  if (response.body_bytes() < std::max<std::size_t>(config.compress_bytes_min, 1)) return false;
  std::optional<std::string_view> type = response.headers.Find("Content-Type");
  return type && !IsCompressedType(*type);
}

Compression::Compression(Response response, ContentCoding coding)
    : response_(std::move(response)),
      coding_(coding),
      bytes_left_(response_.body_bytes()),
      out_bytes_max_(bytes_left_) {
  URSULA_CHECK(coding_ != ContentCoding::kIdentity && bytes_left_ > 0);
}

void Compression::Step(std::size_t bytes_max) {
  URSULA_CHECK(!done_ && bytes_max > 0);
  if (encoder_ == nullptr) encoder_ = MakeEncoder(coding_, bytes_left_);
  while (bytes_max > 0 && !done_) {
    std::string_view rest = response_.body[part_].view().substr(part_at_);
    if (rest.empty()) {
      ++part_;
      part_at_ = 0;
      continue;
    }
    std::string_view piece = rest.substr(0, bytes_max);
    part_at_ += piece.size();
    bytes_max -= piece.size();
    bytes_left_ -= piece.size();
    std::size_t blocks = out_.size();
    bool ok = encoder_->Add(piece, bytes_left_ == 0, &out_);
    for (; blocks < out_.size(); ++blocks) out_bytes_ += out_[blocks].size();
    if (!ok || out_bytes_ >= out_bytes_max_) return End(false);
    if (bytes_left_ == 0) End(true);
  }
}

void Compression::End(bool smaller) {
  done_ = true;
  encoder_.reset();
  if (!smaller) {
    out_.clear();
    return;
  }
  response_.body = std::move(out_);
  SetCoding(&response_, coding_);
}

Response Compression::TakeResponse() {
  URSULA_CHECK(done_);
  return std::move(response_);
}

void SetCoding(Response* response, ContentCoding coding) {
  response->headers.Set("Content-Encoding", ContentCodingName(coding));
  if (std::optional<std::string_view> tag = response->headers.Find("ETag")) {
    response->headers.Set("ETag", CodedEntityTag(*tag, coding));
  }
}

}  // namespace ursula::protocol
