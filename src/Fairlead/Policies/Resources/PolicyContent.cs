using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Policies.Matching;

namespace Fairlead.Policies.Resources;

/// <summary>Writes and reads the rules of a policy in the form of the admin API, which is also their form in the database.</summary>
internal static class PolicyContent
{
    private static readonly string[] Members =
    [
        "id", "type", "action", "direction", "words", "pattern", "kinds", "url", "model", "max_match_length", "restore", "timeout_ms",
        "on_failure", "window_characters",
    ];

    /// <summary>Writes the array of rules, each with the members of its type.</summary>
    public static void Write(Utf8JsonWriter json, IReadOnlyList<PolicyRule> rules)
    {
        json.WriteStartArray();
        foreach (var rule in rules) Write(json, rule);
        json.WriteEndArray();
    }

    /// <summary>The stored form. Equal rules have equal texts.</summary>
    public static string Text(IReadOnlyList<PolicyRule> rules)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer)) Write(json, rules);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Reads the stored form.</summary>
    /// <exception cref="JsonException">It is not JSON.</exception>
    /// <exception cref="FormatException">It is not an array of rules.</exception>
    public static IReadOnlyList<PolicyRule> Parse(string text)
    {
        using var document = JsonDocument.Parse(text);
        return Read(document.RootElement, "/rules", (_, error) => throw new FormatException($"{error.Pointer}: {error.Detail}"));
    }

    /// <summary>Reads an array of rules. What is wrong goes to <paramref name="onError"/>; the list then lacks those rules.</summary>
    public static IReadOnlyList<PolicyRule> Read(JsonElement value, string pointer, Action<ErrorCode, FieldError> onError)
    {
        if (value.ValueKind != JsonValueKind.Array)
        {
            onError(ErrorCode.InvalidParameter, new(pointer, $"Must be an array of rules, not a {JsonTypeNames.Of(value.ValueKind)}."));
            return [];
        }
        var rules = new List<PolicyRule>();
        var index = 0;
        foreach (var item in value.EnumerateArray())
        {
            var at = string.Create(CultureInfo.InvariantCulture, $"{pointer}/{index++}");
            if (item.ValueKind == JsonValueKind.Object)
            {
                if (new RuleReader(item, at, onError).Read() is { } rule) rules.Add(rule);
            }
            else
            {
                onError(ErrorCode.InvalidParameter, new(at, $"Must be a rule, not a {JsonTypeNames.Of(item.ValueKind)}."));
            }
        }
        return rules;
    }

    private static void Write(Utf8JsonWriter json, PolicyRule rule)
    {
        json.WriteStartObject();
        json.WriteString("id", rule.Id);
        json.WriteString("type", PolicyWords.Of(rule.Type));
        json.WriteString("action", PolicyWords.Of(rule.Action));
        json.WriteString("direction", PolicyWords.Of(rule.Direction));
        if (rule.Words is not null) json.WriteTexts("words", rule.Words);
        if (rule.Pattern is not null) json.WriteString("pattern", rule.Pattern);
        if (rule.Kinds is not null) json.WriteTexts("kinds", rule.Kinds);
        if (rule.Url is not null) json.WriteString("url", rule.Url);
        if (rule.Model is not null) json.WriteString("model", rule.Model);
        if (rule.MaxMatchLength is { } length) json.WriteNumber("max_match_length", length);
        if (rule.Action == PolicyAction.Redact) json.WriteBoolean("restore", rule.Restore);
        if (rule.Type == PolicyRuleType.Remote)
        {
            json.WriteOptionalNumber("timeout_ms", rule.TimeoutMs);
            json.WriteString("on_failure", PolicyWords.Of(rule.OnFailure));
        }
        if (rule.Type is PolicyRuleType.Remote or PolicyRuleType.PromptInjection)
        {
            json.WriteNumber("window_characters", rule.WindowCharacters);
        }
        json.WriteEndObject();
    }

    /// <summary>Reads one rule and reports everything that is wrong with the types of its members.</summary>
    private sealed class RuleReader(JsonElement rule, string at, Action<ErrorCode, FieldError> onError)
    {
        private bool _isWrong;

        public PolicyRule? Read()
        {
            foreach (var member in rule.EnumerateObject())
            {
                var name = JsonMemberNames.Of(member);
                if (name is not null && Members.Contains(name)) continue;
                Add(ErrorCode.UnsupportedParameter, at + JsonMemberNames.ShortStep(name),
                    $"Unknown field; a rule accepts {string.Join(", ", Members)}.");
            }
            var made = new PolicyRule
            {
                Id = Text("id", isRequired: true) ?? "",
                Type = Word("type", PolicyWords.Types, isRequired: true) is { } type ? PolicyWords.TypeOf(type) : default,
                Action = Word("action", PolicyWords.Actions, isRequired: true) is { } action ? PolicyWords.ActionOf(action) : default,
                Direction = Word("direction", PolicyWords.Directions) is { } direction
                    ? PolicyWords.DirectionOf(direction) : PolicyDirection.Both,
                Words = Texts("words"),
                Pattern = Text("pattern"),
                Kinds = Texts("kinds"),
                Url = Text("url"),
                Model = Text("model"),
                MaxMatchLength = Number("max_match_length"),
                Restore = Switch("restore"),
                TimeoutMs = Number("timeout_ms"),
                OnFailure = Word("on_failure", PolicyWords.Failures) is { } failure ? PolicyWords.FailureOf(failure) : PolicyFailure.Open,
                WindowCharacters = Number("window_characters") ?? PolicyRuleCheck.DefaultWindow,
            };
            return _isWrong ? null : made;
        }

        private bool Find(string name, bool isRequired, out JsonElement value)
        {
            if (rule.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null) return true;
            if (isRequired) Add(ErrorCode.MissingParameter, $"{at}/{name}", "The field is required.");
            return false;
        }

        private string? Text(string name, bool isRequired = false) =>
            Find(name, isRequired, out var value) ? TextOf(value, $"{at}/{name}") : null;

        private string? Word(string name, string[] words, bool isRequired = false)
        {
            if (Text(name, isRequired) is not { } word) return null;
            if (words.Contains(word)) return word;
            Add(ErrorCode.InvalidParameter, $"{at}/{name}", $"Must be one of {string.Join(", ", words)}.");
            return null;
        }

        private List<string>? Texts(string name)
        {
            if (!Find(name, isRequired: false, out var value)) return null;
            if (value.ValueKind != JsonValueKind.Array)
            {
                Add(ErrorCode.InvalidParameter, $"{at}/{name}", $"Must be an array of strings, not a {JsonTypeNames.Of(value.ValueKind)}.");
                return null;
            }
            var texts = new List<string>();
            foreach (var item in value.EnumerateArray())
            {
                if (TextOf(item, string.Create(CultureInfo.InvariantCulture, $"{at}/{name}/{texts.Count}")) is not { } text) return null;
                texts.Add(text);
            }
            return texts;
        }

        private int? Number(string name)
        {
            if (!Find(name, isRequired: false, out var value)) return null;
            if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number)) return number;
            Add(ErrorCode.InvalidParameter, $"{at}/{name}", "Must be a whole number.");
            return null;
        }

        private bool Switch(string name)
        {
            if (!Find(name, isRequired: false, out var value)) return false;
            if (value.ValueKind is JsonValueKind.True or JsonValueKind.False) return value.GetBoolean();
            Add(ErrorCode.InvalidParameter, $"{at}/{name}", $"Must be true or false, not a {JsonTypeNames.Of(value.ValueKind)}.");
            return false;
        }

        private string? TextOf(JsonElement value, string pointer)
        {
            if (value.ValueKind != JsonValueKind.String)
            {
                Add(ErrorCode.InvalidParameter, pointer, $"Must be a string, not a {JsonTypeNames.Of(value.ValueKind)}.");
                return null;
            }
            try
            {
                var text = value.GetString()!;
                // PostgreSQL stores no NUL.
                if (!text.Contains('\0', StringComparison.Ordinal)) return text;
                Add(ErrorCode.InvalidParameter, pointer, "Must not contain U+0000.");
            }
            catch (InvalidOperationException)
            {
                Add(ErrorCode.InvalidParameter, pointer, "Contains half of a surrogate pair, which is not a character.");
            }
            return null;
        }

        private void Add(ErrorCode code, string pointer, string detail)
        {
            _isWrong = true;
            onError(code, new FieldError(pointer, detail));
        }
    }
}
