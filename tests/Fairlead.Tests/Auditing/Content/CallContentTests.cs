using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Auditing;
using Fairlead.Auditing.Content;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Streaming;

namespace Fairlead.Tests.Auditing.Content;

public sealed class CallContentTests
{
    private const string Email = "ada.lovelace@example.org";
    private const string Card = "4111 1111 1111 1111";

    // No key of anyone: it has the form of one.
    private const string Secret = "sk-proj-a8Kd93jfLq02mXzPq7Vt5RwY1bNcE4uGh6TsJiO0";

    private static readonly ContentRecording Full = new(AuditContent.Full, 64 * 1024);

    /// <summary>The stricter wins, whoever says it.</summary>
    [Fact]
    public void Level_AllCombinations_IsTheStrictest()
    {
        var configuration = new SettableConfiguration();
        var recordings = new ContentRecordings(configuration);
        AuditContent?[] levels = [null, AuditContent.None, AuditContent.Hash, AuditContent.Redacted, AuditContent.Full];
        foreach (var configured in Enum.GetValues<AuditContent>())
        {
            configuration.Set(new AuditConfig { Content = configured });
            foreach (var organization in levels)
            foreach (var project in levels)
            foreach (var key in levels)
            {
                var found = recordings.Of(AuditContents.Strictest(organization, project, key));
                AuditContent[] all = [configured, .. new[] { organization, project, key }.OfType<AuditContent>()];
                Assert.Equal(all.Min(), found?.Level ?? AuditContent.None);
                if (found is not null) Assert.Same(found, recordings.Of(found.Level));
            }
        }
    }

    [Fact]
    public void Full_Chat_HasInputWithoutSettingsAndFilesByHash()
    {
        var image = RandomNumberGenerator.GetBytes(300);
        var base64 = Convert.ToBase64String(image);
        var body = $$$"""
            {"model":"m","temperature":0.5,"user":"u-1","fairlead":{"class":"bulk"},"stream":true,
             "messages":[{"role":"system","content":"Be kind."},
              {"role":"user","content":[{"type":"text","text":"Look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,{{{base64}}}"}},
               {"type":"file","file":{"filename":"a.pdf","file_data":"{{{base64}}}"}}]},
              {"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
              {"role":"tool","tool_call_id":"call_1","content":"42"}],
             "tools":[{"type":"mcp","server_url":"https://a.example","authorization":"very-secret","headers":{"X-Key":"very-secret"}}]}
            """;
        var call = CallOf(body, Full);
        var content = Stored(call);
        var input = content.GetProperty("input");
        Assert.Equal(["messages", "tools"], input.EnumerateObject().Select(member => member.Name));
        var parts = input.GetProperty("messages")[1].GetProperty("content");
        Assert.Equal("Look", parts[0].GetProperty("text").GetString());
        var url = parts[1].GetProperty("image_url").GetProperty("url");
        Assert.Equal(("image/png", 300, Convert.ToHexStringLower(SHA256.HashData(image))),
            (url.GetProperty("media_type").GetString(), url.GetProperty("bytes").GetInt32(), url.GetProperty("sha256").GetString()));
        Assert.Equal(300, parts[2].GetProperty("file").GetProperty("file_data").GetProperty("bytes").GetInt32());
        Assert.Equal("{\"x\":1}", input.GetProperty("messages")[2].GetProperty("tool_calls")[0].GetProperty("function").GetProperty("arguments").GetString());
        Assert.Equal("42", input.GetProperty("messages")[3].GetProperty("content").GetString());
        Assert.DoesNotContain("very-secret", content.GetRawText(), StringComparison.Ordinal);
        Assert.DoesNotContain(base64[..40], content.GetRawText(), StringComparison.Ordinal);
    }

    /// <summary>The forms of output that are forwarded, whole and in events, say the same.</summary>
    [Theory]
    [InlineData("chat", """{"choices":[{"index":0,"message":{"content":"Hi there","reasoning_content":"Hm","tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}]}""",
        """{"choices":[{"index":0,"delta":{"reasoning_content":"Hm"}}]}|{"choices":[{"index":0,"delta":{"content":"Hi "}}]}|{"choices":[{"index":0,"delta":{"content":"there"}}]}|{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\""}}]}}]}|{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}|[DONE]""")]
    [InlineData("messages", """{"content":[{"type":"thinking","thinking":"Hm","signature":"s"},{"type":"text","text":"Hi there"},{"type":"tool_use","id":"c1","name":"f","input":{"a":1}}],"stop_reason":"tool_calls"}""",
        """{"type":"message_start","message":{}}|{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}|{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}|{"type":"content_block_stop","index":0}|{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}|{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hi "}}|{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"there"}}|{"type":"content_block_stop","index":1}|{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"c1","name":"f","input":{}}}|{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}|{"type":"content_block_stop","index":2}|{"type":"message_delta","delta":{"stop_reason":"tool_calls"}}""")]
    [InlineData("responses", """{"status":"tool_calls","output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"x"},{"type":"message","content":[{"type":"output_text","text":"Hi there"}]},{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"a\":1}"}]}""",
        """{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning"}}|{"type":"response.reasoning_summary_text.delta","output_index":0,"delta":"Hm"}|{"type":"response.output_item.added","output_index":1,"item":{"type":"message"}}|{"type":"response.output_text.delta","output_index":1,"delta":"Hi "}|{"type":"response.output_text.delta","output_index":1,"delta":"there"}|{"type":"response.output_item.done","output_index":1,"item":{"type":"message","content":[{"type":"output_text","text":"Hi there"}]}}|{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","call_id":"c1","name":"f","arguments":""}}|{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{\"a\":1}"}|{"type":"response.completed","response":{"status":"tool_calls"}}""")]
    public void Output_NativeWholeAndEvents_AreTheSame(string dialect, string whole, string events)
    {
        INativeOutput native = dialect switch { "chat" => ChatOutput.Instance, "messages" => MessagesOutput.Instance, _ => ResponsesOutput.Instance };
        const string Expected = """[{"index":0,"finish_reason":"tool_calls","parts":[{"type":"reasoning","text":"Hm"},{"type":"text","text":"Hi there"},{"type":"tool_call","id":"c1","name":"f","arguments":"{\"a\":1}"}]}]""";

        using var ofWhole = new OutputCollector(1000, null);
        ofWhole.Add(Encoding.UTF8.GetBytes(whole), native);
        Assert.Equal(Expected, Text(ofWhole));

        using var ofEvents = new OutputCollector(1000, null);
        using var batch = new EventBatch();
        foreach (var one in events.Split('|')) batch.AddNative(Encoding.UTF8.GetBytes(one), 0, NativeEventTraits.Content);
        ofEvents.Add(batch, native);
        Assert.Equal(Expected, Text(ofEvents));
        Assert.False(ofWhole.IsTruncated || ofEvents.IsTruncated);
    }

    [Fact]
    public void Output_CanonicalEventsOfSeveralChoices_AreKeptApart()
    {
        using var output = new OutputCollector(1000, null);
        using var batch = new EventBatch();
        batch.Add(new TextDelta("void"));
        batch.Add(new OutputRepaired([]));
        foreach (var (choice, text) in new[] { (0, "A"), (1, "B"), (0, "a"), (1, "b") }) batch.Add(new TextDelta(text) { Choice = choice });
        batch.Add(new ChoiceFinished(FinishReason.Stop) { Choice = 1 });
        output.Add(batch, null);
        Assert.Equal("""[{"index":0,"finish_reason":null,"parts":[{"type":"text","text":"Aa"}]},{"index":1,"finish_reason":"stop","parts":[{"type":"text","text":"Bb"}]}]""", Text(output));
    }

    [Fact]
    public void Redacted_PersonalDataAndSecretsEverywhere_AreNotThere()
    {
        var body = $$$"""
            {"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"I am {{{Email}}} with 4111 1111"},{"type":"text","text":" 1111 1111"}]},
              {"role":"assistant","tool_calls":[{"id":"{{{Secret}}}","type":"function","function":{"name":"f","arguments":"{\"key\":\"{{{Secret}}}\"}"}}]}],
             "unknown":{"{{{Email}}}":"x"}}
            """;
        var call = CallOf(body, new ContentRecording(AuditContent.Redacted, 64 * 1024), $"Pay {Card} or write to {Email}.");
        call.Output!.Add(new ModelResponse([new OutputChoice(1, [new ToolCallPart("c", "f", $"{{\"to\":\"{Email}\"}}"), new ReasoningPart(Secret, null)], FinishReason.Stop)]));
        var text = Stored(call).GetRawText();
        foreach (var planted in (string[])[Email, Card, Secret, "4111", "lovelace", Secret[8..20]]) Assert.DoesNotContain(planted, text, StringComparison.Ordinal);
        Assert.Contains("I am [EMAIL_1] with", text, StringComparison.Ordinal);
        // The same value has the same placeholder.
        Assert.Contains("or write to [EMAIL_1].", text, StringComparison.Ordinal);
    }

    /// <summary>Half of a secret is not recognised, so the end of what was cut is not recorded.</summary>
    [Fact]
    public void Redacted_OutputCutInASecret_HasNoPartOfIt()
    {
        var recording = new ContentRecording(AuditContent.Redacted, 2048);
        for (var cut = 1; cut < Card.Length; cut++)
        {
            var call = CallOf("""{"messages":[]}""", recording);
            var padding = new string('x', CallContent.MaxCharactersOf(recording) - 128 - cut) + " ";
            call.Output!.Dispose();
            call.Output = new OutputCollector(CallContent.MaxCharactersOf(recording), null);
            call.Output.Add(new ModelResponse([new OutputChoice(0, [new TextPart(padding + Card + " and more")], FinishReason.Stop)]));
            Assert.True(call.Output.IsTruncated);
            var content = CallContent.Of(call, recording)!;
            Assert.DoesNotContain("4", Stored(content).GetProperty("output")[0].GetProperty("parts")[0].GetProperty("text").GetString(), StringComparison.Ordinal);
            Assert.True(Member(content).GetProperty("truncated").GetBoolean());
        }
    }

    [Fact]
    public void Hash_Body_IsThatOfItsBytesAndOfTheText()
    {
        const string Body = """{"model":"m","messages":[{"role":"user","content":"hi"}]}""";
        var content = CallContent.Of(CallOf(Body, new ContentRecording(AuditContent.Hash, 1024), "Hello"), new ContentRecording(AuditContent.Hash, 1024))!;
        Assert.Null(content.Stored);
        var member = Member(content);
        Assert.Equal(Hex(Body), member.GetProperty("input_sha256").GetString());
        Assert.Equal(Hex("Hello"), member.GetProperty("output_sha256").GetString());
        Assert.Equal(3, member.EnumerateObject().Count());
    }

    [Theory]
    [InlineData(1024)]
    [InlineData(4096)]
    [InlineData(65536)]
    public void Full_LargeContent_IsTruncatedAndValid(int max)
    {
        var recording = new ContentRecording(AuditContent.Full, max);
        var random = new Random(20261201);
        for (var i = 0; i < 30; i++)
        {
            // Characters that JSON escapes, and pairs.
            string[] texts = [.. Enumerable.Range(0, random.Next(1, 40)).Select(_ => string.Concat(Enumerable.Repeat("a\"\u0001é😀\n", random.Next(1, max / 20))))];
            var body = JsonSerializer.Serialize(new { messages = texts.Select(text => new { role = "user", content = text }).ToArray() });
            var call = CallOf(body, recording, string.Concat(texts));
            var content = CallContent.Of(call, recording)!;
            Assert.InRange(content.Stored!.Length, 1, max + CallContent.FrameBytes);
            var stored = Stored(content);
            var said = stored.GetProperty("input").GetProperty("messages").EnumerateArray().Select(message =>
                message.TryGetProperty("content", out var text) ? text.GetString() : null);
            var parts = stored.GetProperty("output").EnumerateArray().SelectMany(choice => choice.GetProperty("parts").EnumerateArray());
            var isWhole = said.SequenceEqual(texts) && parts.SingleOrDefault() is { ValueKind: JsonValueKind.Object } part
                && part.TryGetProperty("text", out var answer) && answer.GetString() == string.Concat(texts);
            Assert.Equal(!isWhole, Member(content).TryGetProperty("truncated", out _));
            // Both sides have room.
            Assert.NotEqual(0, stored.GetProperty("output").GetArrayLength());
            Assert.NotEqual(0, stored.GetProperty("input").GetProperty("messages").GetArrayLength());
        }
    }

    [Theory]
    [InlineData((int)AuditContent.Hash)]
    [InlineData((int)AuditContent.Redacted)]
    [InlineData((int)AuditContent.Full)]
    public void Blocked_Request_IsWithheld(int level)
    {
        var recording = new ContentRecording((AuditContent)level, 4096);
        var call = CallOf("""{"messages":[{"role":"user","content":"forbidden"}]}""", recording);
        call.Output = null;
        call.Ending = new CallEnding(Outcome.Failed, default, default) { Error = new GatewayError(ErrorCode.ContentBlocked, "No.") };
        var content = CallContent.Of(call, recording)!;
        Assert.DoesNotContain("forbidden", Encoding.UTF8.GetString(content.Stored ?? content.Member), StringComparison.Ordinal);
        Assert.Contains("content_blocked", Encoding.UTF8.GetString(content.Stored ?? content.Member), StringComparison.Ordinal);
        Assert.DoesNotContain(Hex("""{"messages":[{"role":"user","content":"forbidden"}]}"""), Encoding.UTF8.GetString(content.Member), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData((int)AuditContent.Hash)]
    [InlineData((int)AuditContent.Full)]
    public void NotChecked_Request_IsWithheld(int level)
    {
        var recording = new ContentRecording((AuditContent)level, 4096);
        var call = CallOf("""{"messages":[{"role":"user","content":"unseen"}]}""", recording);
        call.HasPassedPolicies = false;
        Assert.DoesNotContain("unseen", Encoding.UTF8.GetString(CallContent.Of(call, recording)!.Stored ?? []), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stage_NotRecorded_PassesWithoutACollector()
    {
        var call = RecordedCalls.New();
        var reply = new GatewayReply.Complete(new ModelResponse([]));
        var task = new AuditContentStage().InvokeAsync(call, (_, _) => new ValueTask<GatewayReply>(reply), default);
        Assert.True(task.IsCompletedSuccessfully);
        Assert.Same(reply, await task);
        Assert.Null(call.Output);
    }

    internal static GatewayCall CallOf(string body, ContentRecording recording, string output = "Hi")
    {
        var call = RecordedCalls.New(recording: recording);
        call.Body = PooledBuffer.Of(Encoding.UTF8.GetBytes(body));
        call.HasPassedPolicies = true;
        call.Output = new OutputCollector(CallContent.MaxCharactersOf(recording), null);
        call.Output.Add(new ModelResponse([new OutputChoice(0, [new TextPart(output)], FinishReason.Stop)]));
        return call;
    }

    private static JsonElement Stored(GatewayCall call) => Stored(CallContent.Of(call, call.Caller.Recording!)!);

    private static JsonElement Stored(CallContent content)
    {
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(content.Stored!)), Member(content).GetProperty("sha256").GetString());
        return JsonDocument.Parse(content.Stored).RootElement;
    }

    private static JsonElement Member(CallContent content) => JsonDocument.Parse(content.Member).RootElement;

    private static string Text(OutputCollector output)
    {
        using var json = new BoundedJson(10_000);
        OutputContent.Write(output, null, json);
        return Encoding.UTF8.GetString(json.Written);
    }

    private static string Hex(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
