using System.Buffers;
using System.Text;
using System.Text.Json;
using Fairlead.Policies.Checking;
using Fairlead.Policies.Matching;

namespace Fairlead.Tests.Policies.Checking;

/// <summary>Originals in the place of placeholders, in whole responses and in events.</summary>
public sealed class RestoredJsonTests
{
    private readonly Placeholders _placeholders = new();
    private readonly string _mark;

    public RestoredJsonTests()
    {
        var rules = CompiledPolicies.Compile([new PolicyDefinition("p", "p", 1, [new PolicyRule
        {
            Id = "r", Type = PolicyRuleType.Regex, Action = PolicyAction.Redact, Pattern = "say \"[a-z]+\"", MaxMatchLength = 40, Restore = true,
        }])]);
        _mark = rules.CheckInput(new PolicyTally(), _placeholders).Check("say \"abc\"").NewText!;
        Assert.True(_placeholders.HasRestorable);
    }

    [Fact]
    public void Write_Whole_RestoresTextAndArguments()
    {
        var made = JsonSerializer.Serialize(new { id = "x", content = $"I {_mark}.", tool = new { arguments = $$"""{"text":"{{_mark}}"}""" }, n = 1 });
        using var restored = JsonDocument.Parse(Restore(made));
        Assert.Equal("I say \"abc\".", restored.RootElement.GetProperty("content").GetString());
        using var arguments = JsonDocument.Parse(restored.RootElement.GetProperty("tool").GetProperty("arguments").GetString()!);
        Assert.Equal("say \"abc\"", arguments.RootElement.GetProperty("text").GetString());
    }

    [Fact]
    public void Write_Events_KeepsLinesAndNumbers()
    {
        var made = $"id: 3\nevent: a\ndata: {{\"delta\":\"{_mark}\"}}\n\n: keep-alive\n\ndata: [DONE]\n\n";
        var restored = Restore(made);
        Assert.Equal(made.Replace(_mark, "say \\\"abc\\\"", StringComparison.Ordinal), restored);
    }

    [Fact]
    public void Write_OtherBrackets_AreLeft()
    {
        const string Made = """{"content":"[EMAIL_7] and [X] and [","a":["[NOTE]"]}""";
        Assert.Equal(Made, Restore(Made));
    }

    [Fact]
    public void Write_NotJson_IsLeft()
    {
        var made = $"data: {{ broken {_mark}\n\n";
        Assert.Equal(made, Restore(made));
    }

    private string Restore(string made)
    {
        var output = new ArrayBufferWriter<byte>();
        RestoredJson.Write(Encoding.UTF8.GetBytes(made), _placeholders, isDocument: false, output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }
}
