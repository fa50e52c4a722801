#include "master/journal/memory.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace bulkhead::journal {

namespace {

constexpr std::size_t kSteps = 64;  // of size, up to a subject's share

template <class Number>
Number number_at(const std::string& bytes, std::size_t at) noexcept {
  Number out{};
  std::memcpy(&out, bytes.data() + at, sizeof out);
  return out;
}

template <class Number>
void append_number(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace

Memory::Head Memory::head_at(const Subject& subject, std::size_t at) noexcept {
  return {number_at<std::uint64_t>(subject.bytes, at), number_at<std::uint32_t>(subject.bytes, at + 8)};
}

template <class Visit>
void Memory::for_each_at_or_below(const std::string& path, const Visit& visit) const {
  if (const auto self = subjects_.find(path); self != subjects_.end()) visit(self->second);
  const std::string below = path + "/";
  for (auto it = subjects_.lower_bound(below); it != subjects_.end() && it->first.starts_with(below); ++it) {
    visit(it->second);
  }
}

Memory::Subject& Memory::subject_of(std::string_view name) {
  auto found = subjects_.find(name);
  if (found == subjects_.end()) {
    auto fresh = std::make_shared<Subject>();
    fresh->name = name;
    found = subjects_.emplace(fresh->name, std::move(fresh)).first;
    by_size_.emplace(0, found->second.get());
    ++arrivals_;
  }
  if (std::exchange(found->second->is_gone, false)) std::erase(gone_, found->first);
  return *found->second;
}

void Memory::keep(std::string_view name, std::string_view text) {
  Subject& subject = subject_of(name);
  append(subject, text.substr(0, limits_.subject - kHead));
  while (subject.size() > limits_.subject) cut_oldest(subject);
  classify(subject);
  make_room();
  if (on_kept) on_kept();
}

void Memory::append(Subject& subject, std::string_view text) {
  // What has been cut is only moved over when it is half of what there is.
  if (subject.begin > subject.size() / 2) {
    subject.bytes.erase(0, subject.begin);
    subject.begin = 0;
  }
  append_number(subject.bytes, ++seq_);
  append_number(subject.bytes, static_cast<std::uint32_t>(text.size()));
  subject.bytes += text;
  bytes_ += kHead + text.size();
}

void Memory::cut_oldest(Subject& subject) noexcept {
  const std::size_t length = kHead + head_at(subject, subject.begin).length;
  subject.begin += length;
  subject.at += length;
  ++subject.first;
  bytes_ -= length;
}

void Memory::classify(Subject& subject) {
  const std::size_t now = subject.size() / std::max<std::size_t>(limits_.subject / kSteps, 1);
  if (now == subject.size_class) return;
  auto node = by_size_.extract({subject.size_class, &subject});
  subject.size_class = now;
  node.value().first = now;
  by_size_.insert(std::move(node));
}

void Memory::make_room() {
  while (bytes_ > limits_.all) {
    Subject& biggest = *by_size_.rbegin()->second;
    if (biggest.size() == 0) return;
    cut_oldest(biggest);
    classify(biggest);
  }
}

void Memory::gone(const std::string& path) {
  for_each_at_or_below(path, [this](const std::shared_ptr<Subject>& subject) {
    if (!std::exchange(subject->is_gone, true)) gone_.push_back(subject->name);
  });
  while (gone_.size() > limits_.gone) forget_oldest_gone();
}

void Memory::forget_oldest_gone() {
  const auto found = subjects_.find(gone_.front());
  Subject& subject = *found->second;
  by_size_.erase({subject.size_class, &subject});
  while (subject.size() != 0) cut_oldest(subject);
  subject.bytes = {};  // a reader may hold the rest
  subject.begin = 0;
  subject.is_forgotten = true;
  subjects_.erase(found);
  gone_.pop_front();
}

bool Memory::knows(const std::string& path) const {
  bool out = false;
  for_each_at_or_below(path, [&out](const auto& subject) { out = out || subject->size() != 0; });
  return out;
}

Memory::Reader::Reader(const Memory& memory, std::string path, std::optional<std::uint64_t> last)
    : memory_(&memory), path_(std::move(path)) {
  look_for_subjects();
  for (Cursor& cursor : cursors_) catch_up(cursor);
  missed_ = 0;  // before it began
  if (last) skip_until(first_of_the_last(*last));
}

Memory::Reader Memory::Reader::after(const Memory& memory, std::string path, std::uint64_t since) {
  Reader out(memory, std::move(path));
  out.skip_until(since + 1);
  return out;
}

void Memory::Reader::look_for_subjects() {
  if (arrivals_ == memory_->arrivals_) return;
  arrivals_ = memory_->arrivals_;
  for (Cursor& cursor : cursors_) {
    cursor.waits = true;
    catch_up(cursor);
  }
  next_.clear();
  std::erase_if(cursors_, [](const Cursor& cursor) { return cursor.subject->is_forgotten; });
  std::set<const Subject*> known;
  for (const Cursor& cursor : cursors_) known.insert(cursor.subject.get());
  memory_->for_each_at_or_below(path_, [&](const std::shared_ptr<Subject>& subject) {
    if (!known.contains(subject.get())) cursors_.push_back({subject});
  });
}

void Memory::Reader::look_for_records() {
  if (looked_at_ == memory_->seq_) return;
  looked_at_ = memory_->seq_;
  look_for_subjects();
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    if (cursors_[i].waits) queue(i);
  }
}

bool Memory::Reader::at_end(const Cursor& cursor) noexcept {
  return cursor.at >= cursor.subject->at + cursor.subject->size();
}

Memory::Head Memory::Reader::head_of(const Cursor& cursor) noexcept {
  return head_at(*cursor.subject, cursor.subject->begin + (cursor.at - cursor.subject->at));
}

void Memory::Reader::catch_up(Cursor& cursor) noexcept {
  if (cursor.at >= cursor.subject->at) return;
  missed_ += cursor.subject->first - cursor.index;
  cursor.at = cursor.subject->at;
  cursor.index = cursor.subject->first;
}

void Memory::Reader::skip_one(Cursor& cursor) noexcept {
  cursor.at += kHead + head_of(cursor).length;
  ++cursor.index;
}

void Memory::Reader::skip_until(std::uint64_t seq) {
  for (Cursor& cursor : cursors_) {
    while (!at_end(cursor) && head_of(cursor).seq < seq) skip_one(cursor);
  }
}

std::uint64_t Memory::Reader::first_of_the_last(std::uint64_t count) const {
  std::vector<std::uint64_t> all;
  for (Cursor cursor : cursors_) {
    for (; !at_end(cursor); cursor.at += kHead + head_of(cursor).length) all.push_back(head_of(cursor).seq);
  }
  if (count == 0) return memory_->seq_ + 1;
  if (count >= all.size()) return 0;
  const auto first = all.end() - static_cast<std::ptrdiff_t>(count);
  std::ranges::nth_element(all, first);
  return *first;
}

void Memory::Reader::queue(std::size_t index) {
  Cursor& cursor = cursors_[index];
  catch_up(cursor);
  cursor.waits = at_end(cursor);
  if (cursor.waits) return;
  next_.emplace_back(head_of(cursor).seq, index);
  std::ranges::push_heap(next_, std::greater<>());
}

std::optional<Memory::Reader::Record> Memory::Reader::next(std::uint64_t up_to) {
  look_for_records();
  while (!next_.empty() && next_.front().first <= up_to) {
    std::ranges::pop_heap(next_, std::greater<>());
    const auto [seq, index] = next_.back();
    next_.pop_back();
    Cursor& cursor = cursors_[index];
    catch_up(cursor);
    const bool is_there = !at_end(cursor) && head_of(cursor).seq == seq;
    if (!is_there) {  // it has gone meanwhile
      queue(index);
      continue;
    }
    const Subject& subject = *cursor.subject;
    const std::size_t text = subject.begin + (cursor.at - subject.at) + kHead;
    const std::string_view found(subject.bytes.data() + text, head_of(cursor).length);
    skip_one(cursor);
    queue(index);
    return Record{std::exchange(missed_, 0), seq, subject.name, found};
  }
  return std::nullopt;
}

}  // namespace bulkhead::journal
