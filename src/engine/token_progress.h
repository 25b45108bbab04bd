// How many of the tokens that sessions are to compute are computed; and Ctrl-C between two blocks.
#pragma once
#include <utility>
#include <vector>

#include "base/interrupt.h"
#include "base/progress.h"
#include "engine/session.h"

namespace moiety {

class TokenProgress {
 public:
  // `all`: what the sessions compute while this lives.
  TokenProgress(std::vector<Session*> sessions, uint64_t all, OnProgress progress) : sessions_(std::move(sessions)), all_(all), progress_(std::move(progress)) {
    for (Session* session : sessions_)
      session->watch([this](size_t tokens) {
        throw_if_interrupted();
        done_ += tokens;
        if (progress_) progress_(done_, all_);
      });
  }
  // So many tokens needed no computing.
  void skip(uint64_t tokens) { done_ += tokens; }
  ~TokenProgress() {
    for (Session* session : sessions_) session->watch({});
  }
  TokenProgress(const TokenProgress&) = delete;

 private:
  std::vector<Session*> sessions_;
  uint64_t all_, done_ = 0;
  OnProgress progress_;
};

}  // namespace moiety
