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

    /// <summary>Values without a character of their own take room, too.</summary>
    [Theory]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("\"\"")]
    [InlineData("1")]
    [InlineData("null")]
    [InlineData("{\"a\":{\"b\":[[],\"\"]}}")]
    public void Full_ManySmallValues_StayWithinTheMaximum(string value)
    {
        foreach (var max in (int[])[1024, 1025, 1026, 1027, 4096])
        {
            var recording = new ContentRecording(AuditContent.Full, max);
            var call = CallOf($$"""{"input":[{{string.Join(',', Enumerable.Repeat(value, 50_000))}}]}""", recording);
            var content = CallContent.Of(call, recording)!;
            // The salt and the names around it.
            Assert.InRange(content.Stored!.Length, max / 2, max + 128);
            Assert.True(Stored(content).GetProperty("input").GetProperty("input").GetArrayLength() > 10);
            Assert.True(Member(content).GetProperty("truncated").GetBoolean());
        }
    }

    [Theory]
    [InlineData("[", "]")]
    [InlineData("{\"a\":", "}")]
    public void Full_DeepRequest_IsCutSoThatAllReadersCanReadIt(string start, string end)
    {
        var deep = string.Concat(Enumerable.Repeat(start, 500)) + "1" + string.Concat(Enumerable.Repeat(end, 500));
        var content = CallContent.Of(CallOf($$"""{"input":[{{deep}},"after"]}""", Full), Full)!;
        Assert.True(Member(content).GetProperty("truncated").GetBoolean());
        using var document = JsonDocument.Parse(content.Stored!, new JsonDocumentOptions { MaxDepth = 50 });
        Assert.Equal("after", document.RootElement.GetProperty("input").GetProperty("input")[1].GetString());
    }

    [Fact]
    public void Full_HalvesOfSurrogatePairs_AreReplaced()
    {
        var call = CallOf("""{"messages":[{"role":"user","content":"a\ud83dz","\udc00":"\ud83d\ude00"}]}""", Full, "b\ud83d");
        var content = Stored(call);
        var message = content.GetProperty("input").GetProperty("messages")[0];
        Assert.Equal(("a\uFFFDz", "😀"), (message.GetProperty("content").GetString(), message.GetProperty("\uFFFD").GetString()));
        Assert.Equal("b\uFFFD", content.GetProperty("output")[0].GetProperty("parts")[0].GetProperty("text").GetString());
    }

    [Fact]
    public void Redacted_OutputCutBetweenPairs_IsRecorded()
    {
        var recording = new ContentRecording(AuditContent.Redacted, 4096);
        for (var start = 0; start < 2; start++)
        {
            var call = CallOf("""{"messages":[]}""", recording);
            call.Output = new OutputCollector(CallContent.MaxCharactersOf(recording), null);
            var text = new string('x', start) + string.Concat(Enumerable.Repeat("😀", CallContent.MaxCharactersOf(recording)));
            call.Output.Add(new ModelResponse([new OutputChoice(0, [new TextPart(text)], FinishReason.Stop)]));
            var said = Stored(call).GetProperty("output")[0].GetProperty("parts")[0].GetProperty("text").GetString()!;
            Assert.StartsWith(said, text, StringComparison.Ordinal);
            Assert.NotEqual("", said);
        }
    }

    /// <summary>Whatever its form: a file is never recorded as text.</summary>
    [Theory]
    [InlineData("file_data", "{base64}", true)]
    [InlineData("file_data", "{unpadded}", true)]
    [InlineData("data", "{base64url}", true)]
    [InlineData("data", "{lines}", true)]
    [InlineData("url", "data:image/png;base64,{unpadded}", true)]
    [InlineData("url", "DATA:image/png;charset=x;base64,{base64url}", true)]
    [InlineData("image_url", "{base64}", true)]
    [InlineData("url", "data:image/png,{percent}", false)]
    [InlineData("url", "data:image/png;base64,{base64}*", false)]
    [InlineData("url", "data:image/png;base64,{base64}A", false)]
    public void Full_FileInAnyForm_IsRecordedByItsHash(string name, string form, bool isDecoded)
    {
        byte[] file = [.. Enumerable.Range(0, 40_001).Select(i => (byte)(i * 31 ^ (i >> 3)))];
        var base64 = Convert.ToBase64String(file);
        var text = form.Replace("{base64}", base64, StringComparison.Ordinal)
            .Replace("{unpadded}", base64.TrimEnd('='), StringComparison.Ordinal)
            .Replace("{base64url}", base64.TrimEnd('=').Replace('+', '-').Replace('/', '_'), StringComparison.Ordinal)
            .Replace("{lines}", Convert.ToBase64String(file, Base64FormattingOptions.InsertLineBreaks), StringComparison.Ordinal)
            .Replace("{percent}", string.Concat(file.Select(one => $"%{one:X2}")), StringComparison.Ordinal);
        var call = CallOf(JsonSerializer.Serialize(new { messages = new[] { new { content = new[] { new Dictionary<string, string> { ["type"] = "x", [name] = text } } } } }), Full);
        var found = Stored(call).GetProperty("input").GetProperty("messages")[0].GetProperty("content")[0].GetProperty(name);
        Assert.Equal(JsonValueKind.Object, found.ValueKind);
        var expected = isDecoded ? file : Encoding.UTF8.GetBytes(text[(text.IndexOf(',', StringComparison.Ordinal) + 1)..]);
        Assert.Equal((expected.Length, Convert.ToHexStringLower(SHA256.HashData(expected))), (found.GetProperty("bytes").GetInt32(), found.GetProperty("sha256").GetString()));
        Assert.Equal(text.StartsWith("data", StringComparison.OrdinalIgnoreCase), found.TryGetProperty("media_type", out var type));
        if (type.ValueKind == JsonValueKind.String) Assert.Equal("image/png", type.GetString());
    }

    [Fact]
    public void Full_AddressesAndShortTexts_AreRecordedAsTheyAre()
    {
        var call = CallOf("""{"messages":[{"content":[{"url":"https://example.org/a.png"},{"data":"short"},{"data":"A plain text, as a document."},{"uri":"files/abc-123"}]}]}""", Full);
        var parts = Stored(call).GetProperty("input").GetProperty("messages")[0].GetProperty("content");
        Assert.Equal(["https://example.org/a.png", "short", "A plain text, as a document.", "files/abc-123"], parts.EnumerateArray().Select(part => part.EnumerateObject().Single().Value.GetString()));
    }

    [Fact]
    public async Task Stage_ItemsOfOneDialect_HaveNoFilesAndNothingSealed()
    {
        var call = RecordedCalls.New(recording: Full);
        var file = Convert.ToBase64String(RandomNumberGenerator.GetBytes(600));
        using var items = new OutputCollector(10_000, null, InputContent.OfItem);
        items.Add(Encoding.UTF8.GetBytes($$"""{"output":[{"type":"code_interpreter_call","code":"x = 1","outputs":[{"type":"image","url":"data:image/png;base64,{{file}}"}]}]}"""), ResponsesOutput.Instance);
        items.Add(Encoding.UTF8.GetBytes("""{"content":[{"type":"web_search_tool_result","content":[{"title":"A title","encrypted_content":"SEALED-1","encrypted_index":"SEALED-2"}]}]}"""), MessagesOutput.Instance);
        var text = Text(items);
        Assert.Contains("x = 1", text, StringComparison.Ordinal);
        Assert.Contains("A title", text, StringComparison.Ordinal);
        Assert.DoesNotContain("SEALED", text, StringComparison.Ordinal);
        Assert.DoesNotContain(file[..40], text, StringComparison.Ordinal);
        Assert.False(items.IsTruncated);

        var reply = new GatewayReply.Complete(new ModelResponse([new OutputChoice(0, [new TextPart("Hi")], FinishReason.Stop)]));
        await new AuditContentStage().InvokeAsync(call, (_, _) => new ValueTask<GatewayReply>(reply), TestContext.Current.CancellationToken);
        Assert.Contains("Hi", Text(call.Output!), StringComparison.Ordinal);
    }

    /// <summary>Pieces of other parts between two pieces of a text do not hide what is in both.</summary>
    [Fact]
    public void Redacted_InterleavedParts_AreReadAsOneText()
    {
        var recording = new ContentRecording(AuditContent.Redacted, 64 * 1024);
        var call = CallOf("""{"messages":[]}""", recording);
        call.Output = new OutputCollector(CallContent.MaxCharactersOf(recording), null);
        using var batch = new EventBatch();
        batch.Add(new TextDelta("Pay 4111 1111"));
        batch.Add(new ReasoningDelta("ada.love"));
        batch.Add(new TextDelta(" 11"));
        batch.Add(new ToolCallStarted(0, "c", "f"));
        batch.Add(new ReasoningDelta("lace@example.org"));
        batch.Add(new TextDelta("11 1111 now"));
        call.Output.Add(batch, null);
        var said = Stored(call).GetProperty("output").GetRawText();
        foreach (var planted in (string[])["4111", "1111", "ada", "lace@", "example.org"]) Assert.DoesNotContain(planted, said, StringComparison.Ordinal);
        Assert.Contains(" now", said, StringComparison.Ordinal);
    }

    [Fact]
    public void Refused_Call_HasHashesAtMost()
    {
        var call = CallOf("""{"messages":[{"role":"user","content":"refused"}]}""", Full);
        call.Output = null;
        var content = CallContent.Of(call, Full, isStored: false)!;
        Assert.Null(content.Stored);
        Assert.Equal(Hex("""{"messages":[{"role":"user","content":"refused"}]}"""), Member(content).GetProperty("input_sha256").GetString());
    }

    [Theory]
    [InlineData("b<|>z")]
    [InlineData("only one")]
    [InlineData("<|x")]
    public void Hash_OutputInPieces_IsThatOfTheTextAndKeepsNone(string pieces)
    {
        // Halves of a pair.
        pieces = pieces.Replace('<', '\ud83d').Replace('>', '\ude00');
        using var output = new OutputCollector(1000, null, isHashed: true);
        using var batch = new EventBatch();
        foreach (var piece in pieces.Split('|')) batch.Add(new TextDelta(piece));
        output.Add(batch, null);
        Assert.Equal(0, output.Choices[0].Parts[0].Content.Length);
        output.Append(0, CollectedPart.Reasoning, "Hm");
        Assert.Equal(Hex(pieces.Replace("|", "", StringComparison.Ordinal) + "\nHm"), Convert.ToHexStringLower(OutputContent.HashOf(output)!));
    }

    /// <summary>Keys from the environment are callers like others, also after the configuration was read again.</summary>
    [Fact]
    public void EnvironmentKeys_Content_IsRecordedAsTheConfigurationSays()
    {
        var configuration = new SettableConfiguration();
        var recordings = new ContentRecordings(configuration);
        var admin = new AdminKey("a-key-of-the-environment", recordings);
        var client = new ClientKey("another-key-of-the-environment", admin, recordings);
        foreach (var level in (AuditContent[])[AuditContent.None, AuditContent.Full, AuditContent.Hash, AuditContent.Redacted])
        {
            configuration.Set(new AuditConfig { Content = level });
            foreach (var key in (EnvironmentKey[])[admin, client])
            {
                Assert.Equal(level, key.Caller.Recording?.Level ?? AuditContent.None);
                Assert.Same(key.Caller, key.Caller);
            }
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
        Assert.Null(content.Stored);
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
        var task = new AuditContentStage().InvokeAsync(call, (_, _) => new ValueTask<GatewayReply>(reply), TestContext.Current.CancellationToken);
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
