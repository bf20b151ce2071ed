using System.Buffers;
using System.Collections.Frozen;
using System.Text;
using System.Text.RegularExpressions;

namespace Fairlead.Providers.Http;

/// <summary>
/// The filter for a provider's text before a client may read it. It does not try to remove secrets: a text that contains anything like
/// a key, an address, an id, a path or a trace is withheld completely. Thread-safe.
/// </summary>
internal static partial class UpstreamText
{
    /// <summary>Maximum number of characters that a client receives.</summary>
    public const int MaxLength = 300;

    /// <summary>Longer text is a page or a trace, not a message.</summary>
    private const int MaxExamined = 2000;

    // Allowed parts of dotted names: fields of the wire formats. Any other dotted name may be a host, a file or a class.
    private static readonly FrozenSet<string> FieldNames = FrozenSet.ToFrozenSet(
    [
        "messages", "content", "role", "name", "text", "type", "tools", "tool", "function", "functions", "function_call", "custom",
        "parameters", "properties", "items", "required", "additionalProperties", "tool_choice", "tool_calls", "tool_call_id", "tool_use_id",
        "tool_use", "tool_result", "tool_use_blocks", "arguments", "id", "input", "input_schema", "strict", "format", "schema",
        "response_format", "json_schema", "json_object", "image_url", "image", "url", "detail", "source", "data", "media_type",
        "input_audio", "file", "file_data", "file_id", "filename", "document", "temperature", "top_p", "top_k", "n", "stop",
        "stop_sequences", "seed", "max_tokens", "max_completion_tokens", "max_output_tokens", "logprobs", "top_logprobs", "logit_bias",
        "frequency_penalty", "presence_penalty", "stream", "stream_options", "include_usage", "reasoning_effort", "reasoning", "effort",
        "verbosity", "thinking", "budget_tokens", "system", "system_instruction", "metadata", "user_id", "user", "model", "prompt",
        "suffix", "encoding_format", "dimensions", "modalities", "audio", "voice", "prediction", "service_tier", "parallel_tool_calls",
        "disable_parallel_tool_use", "output_config", "cache_control", "ttl", "citations", "enabled", "signature", "contents", "parts",
        "generation_config", "generationConfig", "function_declarations", "inline_data", "mime_type", "enum", "anyOf", "oneOf", "allOf",
        "items", "description", "safety_identifier",
    ], StringComparer.OrdinalIgnoreCase);

    private static readonly SearchValues<char> WordCharacters =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");

    /// <summary>The text that a client may read, or null when it must not be shown.</summary>
    public static string? Clean(string? text)
    {
        if (string.IsNullOrWhiteSpace(text) || text.Length > MaxExamined) return null;
        var plain = Normalise(text);
        if (plain is null || Suspicious().IsMatch(plain) || HasSuspiciousWord(plain)) return null;
        return plain.Length <= MaxLength ? plain : string.Concat(plain.AsSpan(0, CutAt(plain)), "…");
    }

    /// <summary>A field path such as <c>messages[0].content</c>, or null when it is not clearly one.</summary>
    public static string? CleanParameter(string? parameter) =>
        parameter is { Length: > 0 and <= 100 } && FieldPath().IsMatch(parameter) && FieldNames.Contains(FirstLabel(parameter))
            && !HasSuspiciousWord(parameter)
            ? parameter
            : null;

    /// <summary>A provider's error type or code, for the operator's log.</summary>
    public static string CleanCode(string? code) =>
        code is { Length: > 0 and <= 64 } && code.AsSpan().IndexOfAnyExcept(WordCharacters) < 0 && !HasSuspiciousWord(code)
            ? code
            : "no code";

    private static string FirstLabel(string parameter)
    {
        var end = parameter.AsSpan().IndexOfAny('.', '[');
        return end < 0 ? parameter : parameter[..end];
    }

    // One line of printable characters; null for characters that do not occur in messages.
    private static string? Normalise(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            if (Rune.IsWhiteSpace(rune))
            {
                if (result.Length > 0 && result[^1] != ' ') result.Append(' ');
            }
            else if (Rune.IsControl(rune) || rune.Value == 0xFFFD
                || Rune.GetUnicodeCategory(rune) == System.Globalization.UnicodeCategory.Format)
            {
                return null;
            }
            else
            {
                result.Append(rune.ToString());
            }
        }
        if (result.Length > 0 && result[^1] == ' ') result.Length--;
        return result.Length == 0 ? null : result.ToString();
    }

    private static bool HasSuspiciousWord(ReadOnlySpan<char> text)
    {
        while (!text.IsEmpty)
        {
            var start = text.IndexOfAny(WordCharacters);
            if (start < 0) return false;
            text = text[start..];
            var length = text.IndexOfAnyExcept(WordCharacters);
            if (length < 0) length = text.Length;
            if (IsSuspicious(text[..length].Trim('.'))) return true;
            text = text[length..];
        }
        return false;
    }

    private static bool IsSuspicious(ReadOnlySpan<char> word)
    {
        if (word.IsEmpty) return false;
        if (word.Contains('.')) return !IsHarmlessDotted(word);

        // Keys, ids, digests and machine names: long with digits among the letters, or simply too long for a word.
        var digits = 0;
        var letters = 0;
        foreach (var c in word)
        {
            if (char.IsAsciiDigit(c)) digits++;
            else if (char.IsAsciiLetter(c)) letters++;
        }
        return word.Length > 40
            || (word.Length >= 16 && digits > 0 && letters > 0)
            || (letters == 0 && digits >= 10);
    }

    // A decimal number, a version (gpt-4.1), an abbreviation (e.g) or a path of known fields (tools.0.custom).
    private static bool IsHarmlessDotted(ReadOnlySpan<char> word)
    {
        var dots = word.Count('.');
        var lastDot = word.LastIndexOf('.');
        if (dots == 1 && lastDot + 1 < word.Length && char.IsAsciiDigit(word[lastDot + 1]) && char.IsAsciiDigit(word[lastDot - 1])
            && word.Length <= 24)
        {
            return true;
        }

        var lookup = FieldNames.GetAlternateLookup<ReadOnlySpan<char>>();
        var known = false;
        var letters = true;
        var numbers = 0;
        foreach (var range in word.Split('.'))
        {
            var label = word[range];
            letters &= label.Length == 1 && char.IsAsciiLetter(label[0]);
            if (lookup.Contains(label))
            {
                known = true;
            }
            else if (label.Length is > 0 and <= 5 && !label.ContainsAnyExceptInRange('0', '9'))
            {
                numbers++;
            }
            else if (!letters)
            {
                return false;
            }
        }
        return letters || (known && numbers <= dots);
    }

    private static int CutAt(string text)
    {
        var space = text.LastIndexOf(' ', MaxLength - 1);
        var at = space > MaxLength / 2 ? space : MaxLength - 1;
        return char.IsLowSurrogate(text[at]) ? at - 1 : at;
    }

    [GeneratedRegex(
        // addresses, markup, mail
        @"://|\bwww\.|@|<[a-z!/?]|\blocalhost\b|\b[a-z][\w-]*:\d{2,5}\b|::[0-9a-f]|\b(?:[0-9a-f]{1,4}:){3,}" +
        // files: absolute, home, Windows, and anything with two slashes
        @"|(?:^|[\s""'`(=:,\[])~?/[\w.]|\b[a-z]:\\|\\\\|[\w.-]+/[\w.-]+/[\w.-]*" +
        // traces
        @"|\btraceback\b|\bstack ?trace\b|\bexception\b|\bat [\w.<>`]+\(|\bline \d+, in\b|\bfile ""|0x[0-9a-f]{4,}|\bpanic:" +
        // credentials and their owners
        @"|\b(?:sk|pk|rk|ghp|gho|ghs|glpat|hf|gsk|xai|xox[a-z]|org|proj|acct|acc|user|usr|cust|key|req|fl|asst|sess|tenant)[-_]\w*\d\w*" +
        @"|\b(?:sk|pk|rk|org|proj|acct)-|\b(?:akia|asia|aiza|ya29|eyj)[\w-]{4,}|\barn:" +
        @"|\bbearer\b|\bapi[ _-]?keys?\b|\bsecrets?\b|\bpasswords?\b|\bcredentials?\b|\btoken=|\bauthorization\b|\bx-api-key\b" +
        @"|\borgani[sz]ation\b|\baccounts?\b|\bbilling\b|\btenants?\b|\bsubscription\b|\bcredit balance\b|\bdeployment\b" +
        // digests and encoded bytes
        @"|[0-9a-f]{24,}|[A-Za-z0-9+/]{32,}={0,2}|(?<![\w])(?=[A-Za-z0-9+/=_-]*[0-9+/])(?=[A-Za-z0-9+/=_-]*[A-Za-z])[A-Za-z0-9+/=_-]{20,}",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Suspicious();

    [GeneratedRegex(@"^[A-Za-z_][A-Za-z_]{0,39}(?:\.[A-Za-z_]{1,40}|\.\d{1,5}|\[\d{1,5}\])*$", RegexOptions.CultureInvariant)]
    private static partial Regex FieldPath();
}
