// The last records about each of many subjects, in a store of bounded size: the last log lines of every node, for
// `bulkheadctl logs`. Pure: no clock, no descriptor. A record is a text; a subject is named by a path.
//
// When a subject has more than its share, its oldest records go. When all of them together have more than theirs, the
// oldest records of the biggest subject go: one that writes without end cannot push out the records of others. Keeping
// a record costs the same however much there is: no record is moved or looked at for another one, apart from those that
// go for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::journal {

class Memory {
 public:
  struct Limits {
    std::size_t subject = 64U << 10U;  // bytes of records, each with kHead
    std::size_t all = 16U << 20U;
    std::size_t gone = 100;  // subjects that are gone and are still remembered
  };
  static constexpr std::size_t kHead = 12;  // what a record takes besides its text

  Memory() : Memory(Limits{}) {}
  explicit Memory(const Limits& limits) : limits_(limits) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void keep(std::string_view subject, std::string_view text);
  // What is at or below `path` has been removed. Its records stay until so many others are gone, or it is back.
  void gone(const std::string& path);

  [[nodiscard]] bool knows(const std::string& path) const;  // a record at or below it
  // Numbers begin with 1, and each record has the next one.
  [[nodiscard]] std::uint64_t last_seq() const noexcept { return seq_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  // Called after every record; at most one observer.
  std::function<void()> on_kept;

 private:
  struct Subject {
    std::string name;
    std::string bytes;        // records, the oldest first: number, length, text
    std::size_t begin = 0;    // of the oldest one
    std::uint64_t at = 0;     // how many bytes have been cut
    std::uint64_t first = 0;  // how many records have been cut
    std::size_t size_class = 0;
    bool is_gone = false;
    bool is_forgotten = false;  // only readers still have it

    [[nodiscard]] std::size_t size() const noexcept { return bytes.size() - begin; }
  };
  struct Head {
    std::uint64_t seq;
    std::uint32_t length;
  };
  [[nodiscard]] static Head head_at(const Subject& subject, std::size_t at) noexcept;
  [[nodiscard]] Subject& subject_of(std::string_view name);
  void append(Subject& subject, std::string_view text);
  void cut_oldest(Subject& subject) noexcept;
  void make_room();
  void classify(Subject& subject);
  void forget_oldest_gone();
  template <class Visit>
  void for_each_at_or_below(const std::string& path, const Visit& visit) const;

  Limits limits_;
  std::map<std::string, std::shared_ptr<Subject>, std::less<>> subjects_;
  std::set<std::pair<std::size_t, Subject*>> by_size_;  // in steps, so that it seldom changes
  std::deque<std::string> gone_;                        // in the order in which they went
  std::uint64_t seq_ = 0;
  std::uint64_t arrivals_ = 0;  // of subjects
  std::size_t bytes_ = 0;

 public:
  // Reads the records at or below a path, in order, while more are kept and old ones go. Costs no memory for records.
  class Reader {
   public:
    struct Record {
      std::uint64_t missed = 0;  // so many that come before it went before they were read
      std::uint64_t seq = 0;
      std::string_view subject;
      std::string_view text;  // both valid until the memory changes
    };

    // Begins with the last `last` of them, or with all. The memory must outlive it.
    Reader(const Memory& memory, std::string path, std::optional<std::uint64_t> last = {});
    // Begins with those after the number `since`.
    [[nodiscard]] static Reader after(const Memory& memory, std::string path, std::uint64_t since);
    // Nothing: that was the last one until now, or until the number `up_to`.
    [[nodiscard]] std::optional<Record> next(std::uint64_t up_to = std::numeric_limits<std::uint64_t>::max());

   private:
    struct Cursor {
      std::shared_ptr<const Subject> subject;
      std::uint64_t at = 0;     // as Subject::at
      std::uint64_t index = 0;  // as Subject::first
      bool waits = true;        // for another record; else it is among the next ones
    };
    using Next = std::pair<std::uint64_t, std::size_t>;  // number of the record, cursor

    void look_for_subjects();
    void look_for_records();
    void queue(std::size_t index);
    void catch_up(Cursor& cursor) noexcept;
    void skip_until(std::uint64_t seq);
    void skip_one(Cursor& cursor) noexcept;
    [[nodiscard]] static bool at_end(const Cursor& cursor) noexcept;
    [[nodiscard]] static Head head_of(const Cursor& cursor) noexcept;
    [[nodiscard]] std::uint64_t first_of_the_last(std::uint64_t count) const;

    const Memory* memory_;
    std::string path_;
    std::vector<Cursor> cursors_;
    std::vector<Next> next_;  // a heap, the lowest number first
    std::uint64_t arrivals_ = 0;
    std::uint64_t looked_at_ = 0;  // last_seq() when records were looked for
    std::uint64_t missed_ = 0;
  };
};

}  // namespace bulkhead::journal
