using System.Text;
using System.Text.Json.Nodes;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>One spoiled body.</summary>
/// <param name="Name">What was done to it, to find it again.</param>
/// <param name="Body">The bytes.</param>
/// <param name="IsJson">Whether they are one JSON text with every name once; otherwise it can only be refused.</param>
public sealed record Mutation(string Name, byte[] Body, bool IsJson)
{
    public override string ToString() => Name;
}

/// <summary>Spoils a valid body in every way that a client, a bug or an attacker might. The same body gives the same list.</summary>
public static class Mutations
{
    private static readonly string[] Values =
    [
        "null", "true", "0", "-1", "1", "1.5", "-0", "1e2", "1e999", "-1e-999", "2147483648", "-9223372036854775809", "18446744073709551616", "123456789012345678901234567890",
        "\"\"", "\" \"", "\"x\"", "\"\\u0000\"", "\"NaN\"", "\"1\"", "\"\\ud83d\\ude00\"", "\"../../etc/passwd\"", "\"sim-fast\"", "[]", "[null]", "[1,\"a\"]", "[[[]]]", "{}", "{\"type\":\"nonsense\"}", "{\"\":null}",
    ];

    private static readonly string[] BigValues =
    [
        $"\"{new string('a', 70_000)}\"", $"\"{string.Concat(Enumerable.Repeat("\\ud83d\\ude00", 300))}\"", Nested(60), Nested(70), Nested(5_000), $"[{string.Join(',', Enumerable.Repeat("{}", 4_000))}]", $"[{string.Join(',', Enumerable.Repeat("\"a\"", 4_000))}]",
    ];

    /// <summary>Every value of <paramref name="valid"/> replaced, removed, doubled, repeated; unknown members at every object.</summary>
    public static IEnumerable<Mutation> OfFields(JsonObject valid)
    {
        foreach (var path in Paths(valid, []).ToList())
        {
            foreach (var value in Values) yield return Set(valid, path, value);
            if (path.Count <= 3)
            {
                foreach (var value in BigValues) yield return Set(valid, path, value);
            }
            yield return Change(valid, $"without {Show(path)}", path, (parent, at) => Remove(parent, at));
            if (path[^1] is string) yield return Doubled(valid, path);
            else yield return Change(valid, $"repeated {Show(path)}", path, (parent, at) => Repeat(parent.AsArray(), (int)at, 3_500));
        }
        yield return new Mutation("4,000 unknown members", Bytes(With(valid, root =>
        {
            for (var i = 0; i < 4_000; i++) root[$"unknown_{i}"] = i;
        })), true);
        yield return new Mutation("a very long unknown name", Bytes(With(valid, root => root[new string('n', 50_000)] = 1)), true);
        yield return new Mutation("emoji in an unknown name", Bytes(With(valid, root => root["a" + string.Concat(Enumerable.Repeat("😀", 60))] = 1)), true);
        if (valid["fairlead"] is JsonObject)
        {
            foreach (var name in (string[])["budget_usd", "webhook", "a" + string.Concat(Enumerable.Repeat("😀", 60)), "\u0000", new string('n', 5_000)])
                yield return new Mutation($"fairlead.{name[..Math.Min(9, name.Length)]}", Bytes(With(valid, root => root["fairlead"]![name] = 1)), true);
        }
    }

    /// <summary>Text that is no JSON, or not the JSON meant.</summary>
    public static IEnumerable<Mutation> OfText(JsonObject valid)
    {
        var text = Encoding.UTF8.GetBytes(valid.ToJsonString());
        yield return new("nothing", [], false);
        foreach (var whole in (string[])["null", "true", "7", "\"text\"", "[]", "[{}]", "{", "}", "[", "nul", "'a'", "{a:1}", "NaN", "-", "\u0000", " \n\t", "{\"model\"}", "{\"model\":}", "{,}", "<xml/>", "--boundary\r\n", "model=a&b=c"])
            yield return new(whole, Encoding.UTF8.GetBytes(whole), false);
        // Cut behind every kind of byte, and near both ends.
        var cuts = Enumerable.Range(1, 12).Concat(Enumerable.Range(text.Length - 12, 11));
        foreach (var kind in "{}[],:\"\\/ae0159.-tfn_ "u8.ToArray())
        {
            var at = Enumerable.Range(0, text.Length - 1).Where(i => text[i] == kind).ToList();
            if (at.Count > 0) cuts = cuts.Concat([at[0] + 1, at[at.Count / 2] + 1, at[^1] + 1]);
        }
        foreach (var cut in cuts.Where(c => c > 0 && c < text.Length).Distinct()) yield return new($"cut at {cut}", text[..cut], false);

        yield return new("byte order mark", [0xEF, 0xBB, 0xBF, .. text], false);
        yield return new("UTF-16", Encoding.Unicode.GetBytes(valid.ToJsonString()), false);
        yield return new("UTF-32", Encoding.UTF32.GetBytes(valid.ToJsonString()), false);
        yield return new("twice", [.. text, .. text], false);
        yield return new("rubbish behind", [.. text, .. "x"u8], false);
        yield return new("NUL behind", [.. text, 0], false);
        yield return new("a comment", [.. "/* c */"u8, .. text], false);
        yield return new("a comma too many", [.. text[..^1], .. ",}"u8], false);
        yield return new("white space around", [.. " \r\n\t"u8, .. text, .. " \r\n"u8], true);
        yield return new("100,000 opening brackets", Encoding.ASCII.GetBytes(new string('[', 100_000)), false);
        yield return new("100,000 opening objects", Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("{\"a\":", 100_000))), false);
        var quotes = Enumerable.Range(1, text.Length - 1).Where(i => text[i] == '"' && text[i - 1] != '\\').ToList();
        foreach (var (name, bytes) in ((string, byte[])[])[("a lone byte", [0xFF]), ("half a letter", [0xC3]), ("an overlong slash", [0xC0, 0xAF]), ("a surrogate in UTF-8", [0xED, 0xA0, 0x80]), ("beyond Unicode", [0xF4, 0x90, 0x80, 0x80]),
            ("a lone high surrogate", "\\ud800"u8.ToArray()), ("a lone low surrogate", "\\udc00"u8.ToArray()), ("a bad escape", "\\x"u8.ToArray()), ("a short escape", "\\u12g"u8.ToArray()), ("a control character", [1])])
        {
            foreach (var at in new[] { 0, 1, 2, quotes.Count / 2, quotes.Count - 2 }.Where(i => i >= 0 && i < quotes.Count).Select(i => quotes[i]).Distinct()) yield return new($"{name} at {at + 1}", [.. text[..(at + 1)], .. bytes, .. text[(at + 1)..]], false);
        }
        foreach (var number in (string[])["01", "+1", ".5", "1.", "1e", "0x10", "NaN", "Infinity", "-Infinity", "1_000", "--1", "1,5", "undefined", "True"])
            yield return new($"the number {number}", [.. text[..^1], .. Encoding.ASCII.GetBytes($",\"zz\":{number}}}")], false);
    }

    /// <summary>Every value replaced by lists and objects nested <paramref name="depths"/> deep, and one more member of them.</summary>
    public static IEnumerable<Mutation> Deep(JsonObject valid, params int[] depths)
    {
        foreach (var depth in depths)
        {
            foreach (var value in (string[])[Nested(depth), string.Concat(Enumerable.Repeat("{\"a\":", depth)) + "1" + new string('}', depth)])
            {
                foreach (var path in Paths(valid, []).ToList()) yield return Set(valid, path, value);
                yield return Set(valid, ["vendor"], value);
            }
        }
    }

    /// <summary>Several errors at once, chosen by <paramref name="random"/>.</summary>
    public static Mutation Several(JsonObject valid, Random random)
    {
        var body = valid.DeepClone().AsObject();
        var names = new List<string>();
        for (var i = random.Next(2, 6); i > 0; i--)
        {
            var paths = Paths(body, []).ToList();
            if (paths.Count == 0) break;
            var path = paths[random.Next(paths.Count)];
            var value = random.Next(4) == 0 ? BigValues[random.Next(2)] : Values[random.Next(Values.Length)];
            names.Add($"{Show(path)} = {value[..Math.Min(30, value.Length)]}");
            var parent = Parent(body, path);
            if (random.Next(6) == 0) Remove(parent, path[^1]);
            else Put(parent, path[^1], JsonNode.Parse(value));
        }
        return new Mutation(string.Join("; ", names), Bytes(body), true);
    }

    private static Mutation Set(JsonObject valid, List<object> path, string value) =>
        Change(valid, $"{Show(path)} = {value[..Math.Min(40, value.Length)]}", path, (parent, at) => Put(parent, at, JsonNode.Parse(value, documentOptions: new() { MaxDepth = 10_000 })));

    private static Mutation Change(JsonObject valid, string name, List<object> path, Action<JsonNode, object> change) =>
        new(name, Bytes(With(valid, root => change(Parent(root, path), path[^1]))), true);

    // A node cannot hold a name twice, so a marked one is renamed in the text.
    private static Mutation Doubled(JsonObject valid, List<object> path)
    {
        var name = (string)path[^1];
        var body = With(valid, root =>
        {
            var parent = Parent(root, path).AsObject();
            parent["~twice~"] = parent[name]?.DeepClone();
        });
        return new($"{Show(path)} twice", Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(Bytes(body)).Replace("~twice~", name, StringComparison.Ordinal)), IsTolerated(path));
    }

    // Names inside schemas, metadata and other parts that are passed on are not all held against each other.
    private static bool IsTolerated(List<object> path) => path.Count > 1;

    private static JsonObject With(JsonObject valid, Action<JsonObject> change)
    {
        var body = valid.DeepClone().AsObject();
        change(body);
        return body;
    }

    private static byte[] Bytes(JsonNode body) => Encoding.UTF8.GetBytes(body.ToJsonString(new() { MaxDepth = 10_000 }));

    private static string Nested(int depth) => new string('[', depth) + new string(']', depth);

    private static void Repeat(JsonArray list, int index, int times)
    {
        for (var i = 0; i < times; i++) list.Add(list[index]?.DeepClone());
    }

    private static void Put(JsonNode parent, object at, JsonNode? value)
    {
        if (at is string name) parent[name] = value;
        else parent[(int)at] = value;
    }

    private static void Remove(JsonNode parent, object at)
    {
        if (at is string name) parent.AsObject().Remove(name);
        else parent.AsArray().RemoveAt((int)at);
    }

    private static JsonNode Parent(JsonNode root, List<object> path)
    {
        foreach (var part in path.Take(path.Count - 1)) root = (part is string name ? root[name] : root[(int)part])!;
        return root;
    }

    private static IEnumerable<List<object>> Paths(JsonNode? node, List<object> at)
    {
        var parts = node switch
        {
            JsonObject members => members.Select(member => ((object)member.Key, member.Value)),
            JsonArray { Count: <= 20 } items => items.Select((item, i) => ((object)i, item)),
            _ => [],
        };
        foreach (var (part, inner) in parts)
        {
            List<object> path = [.. at, part];
            yield return path;
            foreach (var deeper in Paths(inner, path)) yield return deeper;
        }
    }

    private static string Show(List<object> path) => string.Concat(path.Select(part => part is string name ? "." + name[..Math.Min(40, name.Length)] : $"[{part}]"));
}
