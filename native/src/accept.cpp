// Accepts lines of one shape: an object of a prompt and an answer, two texts, each there once and neither blank.
//
// A line that is not accepted is not judged: tunestack's own reader, which is the reference, says whether and why it
// is bad. So this may refuse too much and must never accept too much.

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <simdjson.h>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nb = nanobind;
namespace dom = simdjson::dom;

namespace {

// What Python's str.isspace() takes for a space beyond ASCII, all of them in the basic plane.
bool is_wide_space(uint32_t point) {
    return point == 0x85 || point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) ||
           point == 0x2028 || point == 0x2029 || point == 0x202F || point == 0x205F || point == 0x3000;
}

// Whether a text (valid UTF-8) is more than spaces as Python knows them. Mostly the first byte settles it.
bool says_something(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
        const unsigned char lead = text[at];
        if (lead < 0x80) {
            const bool space = lead == 0x20 || (lead >= 0x09 && lead <= 0x0D) || (lead >= 0x1C && lead <= 0x1F);
            if (!space) return true;
            at += 1;
        } else if (lead < 0xE0) {
            if (!is_wide_space((lead & 0x1Fu) << 6 | (text[at + 1] & 0x3Fu))) return true;
            at += 2;
        } else if (lead < 0xF0) {
            if (!is_wide_space((lead & 0x0Fu) << 12 | (text[at + 1] & 0x3Fu) << 6 | (text[at + 2] & 0x3Fu)))
                return true;
            at += 3;
        } else {
            return true;
        }
    }
    return false;
}

// Characters of valid UTF-8: every byte that does not continue one. Plain, so that the compiler vectorises it.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("avx2", "default")))
#endif
size_t characters(std::string_view text) {
    constexpr size_t block = 128;  // so many fit a byte, which vectorises better
    size_t count = 0, at = 0;
    for (; at + block <= text.size(); at += block) {
        uint8_t some = 0;
        for (size_t index = at; index < at + block; ++index) some += static_cast<signed char>(text[index]) > -65;
        count += some;
    }
    for (; at < text.size(); ++at) count += static_cast<signed char>(text[at]) > -65;
    return count;
}

// How many texts have how many characters.
class Histogram {
public:
    void add(size_t length) {
        if (length < few_.size())
            few_[length] += 1;
        else
            many_[length] += 1;
    }

    nb::dict counts() const {
        nb::dict counts;
        for (size_t length = 0; length < few_.size(); ++length)
            if (few_[length]) counts[nb::int_(length)] = few_[length];
        for (const auto& [length, times] : many_) counts[nb::int_(length)] = times;
        return counts;
    }

private:
    std::vector<uint64_t> few_ = std::vector<uint64_t>(1 << 14);
    std::unordered_map<size_t, uint64_t> many_;
};

// Texts by how often they came, for as long as there are few different ones.
class Labels {
public:
    explicit Labels(size_t most) : most_(most) {}

    void add(std::string_view text) {
        if (many_) return;
        const auto found = counts_.find(text);
        if (found != counts_.end())
            found->second += 1;
        else if (counts_.size() < most_)
            counts_.emplace(text, 1);
        else
            many_ = true;
    }

    nb::object counts() const {
        if (many_) return nb::none();
        nb::dict counts;
        for (const auto& [text, times] : counts_) counts[nb::str(text.data(), text.size())] = times;
        return counts;
    }

private:
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view text) const { return XXH3_64bits(text.data(), text.size()); }
    };
    std::unordered_map<std::string, uint64_t, Hash, std::equal_to<>> counts_;
    size_t most_;
    bool many_ = false;
};

nb::bytes taken(std::vector<uint64_t>& numbers) {
    const nb::bytes bytes(numbers.data(), numbers.size() * sizeof(uint64_t));
    numbers.clear();
    return bytes;
}

class Acceptor {
public:
    Acceptor(std::string prompt, std::string answer, uint64_t seed, size_t most_labels,
             std::array<size_t, 3> longest)
        : names_{std::move(prompt), std::move(answer)}, seed_(seed), longest_(longest), labels_(most_labels) {}

    // The lines of `buffer` from the byte `at` to the byte `end` (whole ones, the last with or without its line feed)
    // until one is not accepted: the byte where that one begins, or `end`, and how many were accepted. simdjson reads
    // some bytes beyond a line: the buffer is PADDING longer than `end`.
    nb::tuple accept(nb::bytearray buffer, size_t at, size_t end) {
        if (end > buffer.size() || buffer.size() - end < simdjson::SIMDJSON_PADDING)
            throw nb::value_error("the buffer has no PADDING after its lines");
        const char* const data = buffer.c_str();
        uint64_t count = 0;
        {
            nb::gil_scoped_release unlocked;
            while (at < end) {
                const void* const feed = std::memchr(data + at, '\n', end - at);
                const size_t stop = feed ? static_cast<const char*>(feed) - data : end;
                if (!accepts(data + at, stop - at)) break;
                add(stop - at + (feed != nullptr));
                ++count;
                at = std::min(stop + 1, end);
            }
        }
        rows_ += count;
        return nb::make_tuple(at, count);
    }

    nb::tuple take_hashes() { return nb::make_tuple(taken(hashes_[0]), taken(hashes_[1])); }

    nb::tuple totals() const {
        return nb::make_tuple(rows_, bytes_, lengths_[0].counts(), lengths_[1].counts(), labels_.counts());
    }

private:
    bool accepts(const char* line, size_t size) {
        // simdjson passes over a byte order mark, the reference does not.
        if (size < 2 || static_cast<unsigned char>(line[0]) == 0xEF) return false;
        // The DOM and not the on-demand front end, which is fixed to one instruction set when it is compiled.
        dom::object object;
        if (parser_.parse(line, size, false).get(object)) return false;
        unsigned seen = 0;
        for (const auto [key, value] : object) {
            const unsigned index = key == names_[0] ? 0 : 1;
            if ((index && key != names_[1]) || (seen >> index & 1)) return false;
            if (value.get(texts_[index]) || !says_something(texts_[index])) return false;
            seen |= 1u << index;
        }
        const size_t prompt = texts_[0].size(), answer = texts_[1].size();
        return seen == 3 && prompt <= longest_[0] && answer <= longest_[1] && prompt + answer <= longest_[2];
    }

    void add(size_t size) {
        bytes_ += size;
        for (size_t index = 0; index < 2; ++index) {
            const std::string_view text = texts_[index];
            lengths_[index].add(characters(text));
            hashes_[index].push_back(XXH3_64bits_withSeed(text.data(), text.size(), index ? 0 : seed_));
        }
        labels_.add(texts_[1]);
    }

    std::array<std::string, 2> names_;
    uint64_t seed_;
    std::array<size_t, 3> longest_;
    Labels labels_;
    std::array<Histogram, 2> lengths_;
    std::array<std::vector<uint64_t>, 2> hashes_;
    std::array<std::string_view, 2> texts_;
    uint64_t rows_ = 0, bytes_ = 0;
    dom::parser parser_;
};

}  // namespace

NB_MODULE(tunestack_native, module) {
    module.doc() = "Accepts good lines of finished datasets; what it does not accept, tunestack's own reader judges.";
    module.attr("PADDING") = static_cast<size_t>(simdjson::SIMDJSON_PADDING);
    nb::class_<Acceptor>(module, "Acceptor", "Accepts lines of a prompt and an answer, and counts them.")
        .def(nb::init<std::string, std::string, uint64_t, size_t, std::array<size_t, 3>>(), nb::arg("prompt"), nb::arg("answer"),
             nb::arg("seed"), nb::arg("most_labels"), nb::arg("longest"),
             "The names of the two fields, the seed of the prompts' hashes, the most different answers that are "
             "counted, and the bytes of the longest prompt, answer and both together that are accepted.")
        .def("accept", &Acceptor::accept, nb::arg("buffer"), nb::arg("at"), nb::arg("end"),
             "Accept whole lines, a range of bytes, until one is not accepted: (where that is, how many were accepted).")
        .def("take_hashes", &Acceptor::take_hashes,
             "XXH3 of the prompts and of the answers accepted since the last time, as native 64-bit integers.")
        .def("totals", &Acceptor::totals,
             "Of all accepted lines: (rows, bytes, prompts and answers by their characters, answers by how often "
             "they came, None if they are too many).");
}
