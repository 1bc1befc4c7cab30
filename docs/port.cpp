// log_softmax and cross_entropy under lossproof's protocol, in C++17 and nothing else.
//   g++ -std=c++17 -O2 port.cpp -o port && lossproof run --exec ./port
#include <cmath>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

struct Unsupported : std::runtime_error { using runtime_error::runtime_error; };
struct Array { std::string dtype; std::vector<long> shape; std::vector<double> values; };

struct Json {  // the items of an object have keys
    std::string key, text;
    std::vector<Json> items;
    bool closes = false;
    const Json *operator[](const std::string &name) const {
        for (auto &item : items) if (item.key == name) return &item;
        return nullptr;
    }
};

// Reads what the host writes, and checks nothing: commas and colons count as spaces, \x stands for x.
Json parse(const char *&p) {
    Json json;
    p += std::strspn(p, " ,:");
    if (!*p || *p == '}' || *p == ']') json.closes = true, p += *p != 0;
    else if (*p == '"') {
        for (++p; *p && *p != '"'; json.text += *p++) p += *p == '\\';
        p += *p != 0;
    } else if (*p == '{' || *p == '[') {
        const bool keyed = *p++ == '{';
        for (Json item = parse(p); !item.closes; item = parse(p)) {
            json.items.push_back(keyed ? parse(p) : item);
            json.items.back().key = keyed ? item.text : "";
        }
    } else while (*p && !std::strchr(",]}", *p)) json.text += *p++;
    return json;
}

std::string buffer_of(const Json &array) {
    if (array["file"]) {
        std::ifstream file(array["file"]->text, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::string bytes, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned word = 0, bits = 0;
    for (char digit : array["data"]->text.substr(0, array["data"]->text.find('='))) {
        word = word << 6 | unsigned(digits.find(digit)), bits += 6;
        if (bits >= 8) bytes += char(word >> (bits -= 8));
    }
    return bytes;
}

template <class T> double element(const char *at) { T value; std::memcpy(&value, at, sizeof value); return double(value); }

Array read(const Json &json) {
    Array array{json["dtype"]->text, {}, {}};
    auto number = array.dtype == "int64" ? element<long long> : array.dtype == "float64" ? element<double>
        : array.dtype == "float32" ? element<float> : throw Unsupported("arrays of " + array.dtype);
    long count = 1, step = array.dtype == "float32" ? 4 : 8;
    for (auto &length : json["shape"]->items) array.shape.push_back(std::stol(length.text)), count *= array.shape.back();
    std::vector<long> strides(array.shape.size());
    for (size_t axis = strides.size(); axis-- > 0; step *= array.shape[axis])
        strides[axis] = json["strides"] ? std::stol(json["strides"]->items[axis].text) : step;
    const std::string buffer = buffer_of(json);
    for (long i = 0; i < count; ++i) {
        long rest = i, at = json["offset"] ? std::stol(json["offset"]->text) : 0;
        for (size_t axis = strides.size(); axis-- > 0; rest /= array.shape[axis])
            at += rest % array.shape[axis] * strides[axis];
        array.values.push_back(number(&buffer[size_t(at)]));
    }
    return array;
}

double sum(const double *terms, long count) {  // by halves, so that errors grow with log2(count)
    return count == 0 ? 0 : count == 1 ? *terms : sum(terms, count / 2) + sum(terms + count / 2, count - count / 2);
}

Array log_softmax(Array x, double axis) {
    const double rank = double(x.shape.size());
    if (axis < -rank || axis >= rank || axis != std::floor(axis)) throw std::out_of_range("no such axis");
    if (axis != -1 && axis != rank - 1) throw Unsupported("axis but the last");
    std::vector<double> powers(size_t(x.shape.back()));
    for (double *row = x.values.data(), *end = row + x.values.size(); row != end; row += powers.size()) {
        double most = -INFINITY;
        for (size_t j = 0; j < powers.size(); ++j) most = std::fmax(most, row[j]);
        for (size_t j = 0; j < powers.size(); ++j) powers[j] = std::exp(row[j] - most);
        const double normaliser = std::log(sum(powers.data(), long(powers.size())));
        for (size_t j = 0; j < powers.size(); ++j) row[j] = (row[j] - most) - normaliser;
    }
    return x;
}

Array cross_entropy(const Array &logits, const Array &target, const std::string &reduction, double ignored) {
    if (target.dtype[0] == 'f' || logits.shape.size() > 2) throw Unsupported("images, no probabilities as targets");
    const Array l = log_softmax(logits, -1);
    Array losses{logits.dtype, {l.shape.begin(), l.shape.end() - 1}, {}};
    if (target.shape != losses.shape) throw std::invalid_argument("expected one target a row");
    double kept = 0, row = 0, classes = double(l.shape.back());
    for (double label : target.values) {
        if (label != ignored && (label < 0 || label >= classes)) throw std::out_of_range("a label that is no class");
        losses.values.push_back(label == ignored ? 0 : -l.values[size_t(row * classes + label)]);
        kept += label != ignored, ++row;
    }
    const double total = sum(losses.values.data(), long(losses.values.size()));
    if (reduction == "none") return losses;
    if (reduction != "sum" && reduction != "mean") throw std::invalid_argument("no such reduction");
    return {logits.dtype, {}, {reduction == "sum" ? total : total / kept}};
}

std::string answer(const Json &request, const std::string &path) try {
    for (auto word : {"transform", "positions", "after", "loops"}) if (request[word]) throw Unsupported(word);
    const Json &given = *request["parameters"], &inputs = *request["inputs"];
    const Array first = read(inputs.items[0]), result = request["operation"]->text == "log_softmax"
        ? log_softmax(first, given["axis"] ? std::stod(given["axis"]->text) : -1)
        : cross_entropy(first, read(inputs.items[1]), given["reduction"] ? given["reduction"]->text : "mean",
                        given["ignore_index"] ? std::stod(given["ignore_index"]->text) : -100);
    std::string shape, bytes;
    for (long length : result.shape) shape += (shape.empty() ? "" : ",") + std::to_string(length);
    for (double value : result.values) {
        const float single = float(value);
        bytes += result.dtype == "float32" ? std::string((const char *)&single, 4) : std::string((const char *)&value, 8);
    }
    std::ofstream(path, std::ios::binary) << bytes;
    return R"("outcome":"answered","type":"Array","device":"cpu","changed":[],"seconds":0,"answer":{"shape":[)" + shape
        + R"(],"dtype":")" + result.dtype + R"(","file":")" + path + R"(","size":)" + std::to_string(bytes.size()) + "}";
} catch (const Unsupported &why) {
    return R"("outcome":"unsupported","reason":"no )" + std::string(why.what()) + '"';
} catch (const std::exception &why) {
    return R"("outcome":"raised","type":"exception","traceback":"","message":")" + std::string(why.what()) + '"';
}

int main() {
    const std::string started = R"("ok":true,"framework":"cpp","dialect":"torch","package":"port","package_version":null,)"
        R"("header":{"device":"cpu"},"operations":{"log_softmax":{"parameters":["axis"],"derivatives":{},"autodiff":false},)"
        R"("cross_entropy":{"parameters":["ignore_index","reduction"],"derivatives":{},"autodiff":false}})";
    std::string shared, line, command;
    while (command != "stop" && std::getline(std::cin, line)) {
        const char *text = line.c_str();
        const Json request = parse(text);
        const std::string id = request["id"]->text;
        if ((command = request["command"]->text) == "start") shared = request["shared"]->text;
        std::cout << R"({"id":)" << id << ',' << (command == "start" ? started : command == "stop" ? R"("ok":true)"
            : answer(request, shared + "/answer-" + id)) << '}' << std::endl;
    }
}
