using System.Text;
using System.Text.Json;
using Fairlead.Policies.Checking;
using Fairlead.Policies.Matching;
using Fairlead.Streaming;

namespace Fairlead.Tests.Policies.Checking;

/// <summary>Texts in requests that look like something else: files, settings, JSON, parts of a message.</summary>
public sealed class ContentCheckTests
{
    private const string Email = "ada@example.org";

    private static readonly CompiledPolicies Rules = CompiledPolicies.Compile([new PolicyDefinition("p", "p", 1,
    [
        new PolicyRule { Id = "personal", Type = PolicyRuleType.PersonalData, Kinds = ["email", "card"], Action = PolicyAction.Redact },
        new PolicyRule { Id = "keys", Type = PolicyRuleType.Secrets, Kinds = ["known_key"], Action = PolicyAction.Redact },
        new PolicyRule { Id = "password", Type = PolicyRuleType.Regex, Pattern = @"password:\s*\S+", MaxMatchLength = 40, Action = PolicyAction.Redact },
    ])]);

    [Theory]
    [InlineData("""{"messages":[{"role":"user","content":"data: card 4111 1111 1111 1111 please;base64,AAAA"}]}""")]
    [InlineData("""{"messages":[{"role":"user","content":"data:ada@example.org;base64,AAAA"}]}""")]
    [InlineData("""{"input":[{"type":"input_file","file_data":"data:text/plain;name=ada@example.org;base64,aGVsbG8="}]}""")]
    [InlineData("""{"input":[{"type":"input_image","image_url":"data:image/png;name=ada@example.org;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB"}]}""")]
    [InlineData("""{"messages":[{"content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"AKIAIOSFODNN7EXAMPLE"}}]}]}""")]
    [InlineData("""{"messages":[{"content":[{"type":"document","source":{"data":"AKIAIOSFODNN7EXAMPLE","media_type":"text/plain","type":"text"}}]}]}""")]
    [InlineData("""{"vendor":{"bytes":"AKIAIOSFODNN7EXAMPLE"}}""")]
    [InlineData("""{"input":[{"type":"function_call_output","call_id":"c","output":"{\"a\":\"ada\\u0040example.org\"}"}]}""")]
    [InlineData("""{"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":\"ada\\u0040example.org\"}"}]}""")]
    [InlineData("""{"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":\"ada\\u0040example.org\",\"b\":\""}]}""")]
    [InlineData("""{"messages":[{"role":"tool","tool_call_id":"c","content":"{\"a\":\"ada\\u0040example.org\"}"}]}""")]
    [InlineData("""{"messages":[{"role":"tool","tool_call_id":"c","content":"[INFO] password: hunter2"}]}""")]
    [InlineData("""{"input":[{"type":"function_call_output","call_id":"c","output":"[INFO] password: hunter2"}]}""")]
    [InlineData("""{"prompt":{"id":"pmpt_1","variables":{"user":"ada@example.org"}}}""")]
    [InlineData("""{"chat_template_kwargs":{"task":"ada@example.org"}}""")]
    [InlineData("""{"vendor":{"user":"ada@example.org"}}""")]
    [InlineData("""{"messages":[{"role":"user","content":"x","user":"ada@example.org"}]}""")]
    [InlineData("""{"vendor":{"signature":"ada@example.org"}}""")]
    public void Check_TextInDisguise_IsRedacted(string json) => Assert.Contains("_1]", Changed(json), StringComparison.Ordinal);

    [Theory]
    [InlineData("""{"user":"ada@example.org","input":[{"type":"message","id":"ada@example.org","role":"user","content":"x"}]}""")]
    [InlineData("""{"input":[{"type":"reasoning","encrypted_content":"ada@example.org AKIAIOSFODNN7EXAMPLE"}]}""")]
    [InlineData("""{"messages":[{"content":[{"type":"redacted_thinking","data":"AKIAIOSFODNN7EXAMPLE"}]}]}""")]
    [InlineData("""{"tools":[{"type":"mcp","authorization":"AKIAIOSFODNN7EXAMPLE","headers":{"X":"AKIAIOSFODNN7EXAMPLE"}}]}""")]
    [InlineData("""{"mcp_servers":[{"type":"url","authorization_token":"AKIAIOSFODNN7EXAMPLE"}]}""")]
    public void Check_IdsSettingsAndSealedTexts_AreLeft(string json) => Assert.Null(ChangedOrNull(json));

    [Theory]
    [InlineData("text/plain", "utf-8", "one\0NUL ")]
    [InlineData("text/plain", "iso-8859-1", "café ")]
    [InlineData("text/plain", "utf-16", "text ")]
    [InlineData("text/plain", "utf-8", "%PDF-1.7 ")]
    [InlineData("application/octet-stream", "iso-8859-1", "café ")]
    [InlineData("application/octet-stream", "utf-8", "one\0NUL ")]
    public void Check_TextFile_IsReadInItsEncoding(string type, string name, string before)
    {
        var encoding = Encoding.GetEncoding(name);
        var file = Convert.ToBase64String([.. encoding.GetPreamble(), .. encoding.GetBytes(before + Email + " and more text after it")]);
        var changed = Changed($$"""{"input":[{"type":"input_file","file_data":"data:{{type}};base64,{{file}}"}]}""");
        using var body = JsonDocument.Parse(changed);
        var data = body.RootElement.GetProperty("input")[0].GetProperty("file_data").GetString()!;
        Assert.StartsWith($"data:{type};base64,", data, StringComparison.Ordinal);
        var text = encoding.GetString(Convert.FromBase64String(data[(data.IndexOf(',', StringComparison.Ordinal) + 1)..])).TrimStart('\uFEFF');
        Assert.Equal(before + "[EMAIL_1] and more text after it", text);
    }

    [Fact]
    public void Check_BinaryFiles_KeepTheirBytes()
    {
        var sound = new byte[600];
        new Random(1).NextBytes(sound);
        Assert.Null(ChangedOrNull($$$"""{"messages":[{"content":[{"type":"input_audio","input_audio":{"data":"{{{Convert.ToBase64String(sound)}}}","format":"pcm16"}}]}]}"""));
        byte[] pdf = [.. "%PDF-1.7 "u8, .. sound];
        Assert.Null(ChangedOrNull($$"""{"input":[{"type":"input_file","file_data":"data:application/pdf;base64,{{Convert.ToBase64String(pdf)}}"}]}"""));
    }

    [Theory]
    [InlineData("""[{"type":"text","text":"ada@exam"},{"type":"text","text":"ple.org, "},{"type":"text","text":"hello"}]""", "[EMAIL_1]|, |hello")]
    [InlineData("""[{"type":"text","text":"to ada"},{"type":"text","text":"@"},{"type":"text","text":"example.org"}]""", "to [EMAIL_1]||")]
    [InlineData("""[{"type":"text","text":"bob@example.org ada@exam"},{"type":"text","text":"ple.org"}]""", "[EMAIL_1] [EMAIL_2]|")]
    public void Check_MatchOverParts_IsRedacted(string parts, string expected)
    {
        var tally = new PolicyTally();
        using var body = JsonDocument.Parse(ChangedOrNull($$"""{"messages":[{"role":"user","content":{{parts}}}]}""", tally)!);
        Assert.Equal(expected, string.Join('|', body.RootElement.GetProperty("messages")[0].GetProperty("content").EnumerateArray().Select(part => part.GetProperty("text").GetString())));
        Assert.Equal(expected.Split("EMAIL_").Length - 1, Assert.Single(tally.Counts()).Count);
    }

    [Fact]
    public void Check_PartsOfDifferentMessages_AreNotJoined() => Assert.Null(ChangedOrNull(
        """{"messages":[{"role":"user","content":[{"type":"text","text":"ada@exam"}]},{"role":"user","content":[{"type":"text","text":"ple.org"}]}]}"""));

    [Fact]
    public void Check_NameOfTool_BlocksInsteadOfRedacting()
    {
        using var check = new ContentCheck(Rules, new PolicyTally(), new Placeholders());
        var (body, block) = check.Check("""{"tools":[{"name":"f_4111111111111111"}]}"""u8, isOwn: false, static () => new PooledBuffer());
        Assert.Null(body);
        // The rule needs a border before the number.
        Assert.Null(block);
        (body, block) = check.Check("""{"tools":[{"type":"function","function":{"name":"4111-1111-1111-1111"}}]}"""u8, isOwn: false, static () => new PooledBuffer());
        Assert.Null(body);
        Assert.Equal("personal", block?.Rule.RuleId);
        (_, block) = check.Check("""{"messages":[{"content":[{"name":"4111-1111-1111-1111","type":"tool_use"}]}]}"""u8, isOwn: false, static () => new PooledBuffer());
        Assert.Equal("personal", block?.Rule.RuleId);
    }

    [Fact]
    public void Check_OwnHistory_KeepsPlaceholdersOfConversation()
    {
        var rules = CompiledPolicies.Compile([new PolicyDefinition("p", "p", 1,
            [new PolicyRule { Id = "mail", Type = PolicyRuleType.PersonalData, Kinds = ["email"], Action = PolicyAction.Redact, Restore = true }])]);
        var first = new Placeholders();
        using (var check = new ContentCheck(rules, new PolicyTally(), first)) Changed(check, $$"""{"input":"{{Email}}"}""", isOwn: false);
        var second = first.Copy();
        using var next = new ContentCheck(rules, new PolicyTally(), second);
        Assert.Null(Changed(next, """{"role":"user","content":"I am [EMAIL_1]"}""", isOwn: true));
        Assert.Contains("[REDACTED_1]", Changed(next, """{"role":"user","content":"I am [EMAIL_2]"}""", isOwn: true)!, StringComparison.Ordinal);
        Assert.Contains("[REDACTED_2]", Changed(next, """{"role":"user","content":"I am [EMAIL_1]"}""", isOwn: false)!, StringComparison.Ordinal);
        Assert.Equal(Email, second.Restore("[EMAIL_1]", ChannelKind.Text));
        // The conversation's first turn knows nothing of the second one.
        Assert.Equal("[REDACTED_1]", first.Restore("[REDACTED_1]", ChannelKind.Text));
    }

    private static string Changed(string json) => ChangedOrNull(json) ?? throw new InvalidOperationException("Nothing was redacted.");

    private static string? ChangedOrNull(string json, PolicyTally? tally = null)
    {
        using var check = new ContentCheck(Rules, tally ?? new PolicyTally(), new Placeholders());
        return Changed(check, json, isOwn: false);
    }

    private static string? Changed(ContentCheck check, string json, bool isOwn)
    {
        var (body, block) = check.Check(Encoding.UTF8.GetBytes(json), isOwn, static () => new PooledBuffer());
        Assert.Null(block);
        using (body) return body is null ? null : Encoding.UTF8.GetString(body.WrittenSpan);
    }
}
