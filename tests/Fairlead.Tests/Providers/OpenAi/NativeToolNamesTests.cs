using System.Text;
using System.Text.Json;
using Fairlead.Providers.OpenAi;

namespace Fairlead.Tests.Providers.OpenAi;

public sealed class NativeToolNamesTests
{
    private static readonly string Long = "mcp__" + new string('x', 80);

    [Fact]
    public void Shorten_ResponsesBody_ShortensToolsToolChoiceAndEarlierCalls()
    {
        var body = Encoding.UTF8.GetBytes("""
            {"input":[{"type":"function_call","call_id":"c","name":"@","arguments":"{}"},{"role":"user","content":"@"}],
            "tools":[{"type":"function","name":"@"},{"type":"mcp","name":"@"}],"tool_choice":{"type":"allowed_tools","tools":[{"type":"function","name":"@"}]}}
            """.Replace("@", Long, StringComparison.Ordinal));
        var shortened = NativeToolNames.Shorten(body, 64);
        Assert.NotNull(shortened);
        var root = JsonDocument.Parse(shortened.Value.Body).RootElement;
        var made = root.GetProperty("tools")[0].GetProperty("name").GetString()!;
        Assert.InRange(made.Length, 10, 64);
        Assert.Equal(Long, root.GetProperty("tools")[1].GetProperty("name").GetString());
        Assert.Equal(made, root.GetProperty("input")[0].GetProperty("name").GetString());
        Assert.Equal(Long, root.GetProperty("input")[1].GetProperty("content").GetString());
        Assert.Equal(made, root.GetProperty("tool_choice").GetProperty("tools")[0].GetProperty("name").GetString());

        var names = shortened.Value.Names;
        var restored = names.Restore(Encoding.UTF8.GetBytes("""{"item":{"name" : "#","arguments":"\"#\"","text":"#"}}""".Replace("#", made, StringComparison.Ordinal)));
        Assert.Equal("""{"item":{"name" : "@","arguments":"\"#\"","text":"#"}}""".Replace("@", Long, StringComparison.Ordinal).Replace("#", made, StringComparison.Ordinal), Encoding.UTF8.GetString(restored));
    }

    [Fact]
    public void Shorten_NamesWithinLimit_ReturnsNull() => Assert.Null(NativeToolNames.Shorten("""{"tools":[{"type":"function","name":"get"}]}"""u8, 64));
}
