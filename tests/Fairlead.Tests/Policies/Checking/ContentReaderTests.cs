using System.Text;
using System.Text.Json;
using Fairlead.Policies.Checking;
using Fairlead.Policies.Matching;
using Fairlead.Streaming;

namespace Fairlead.Tests.Policies.Checking;

/// <summary>Which texts of a request are content, and that a changed text leaves all other bytes as they were.</summary>
public sealed class ContentReaderTests
{
    [Theory]
    [InlineData("""{"model":"m","messages":[{"role":"user","content":"a"}]}""", "a")]
    [InlineData("""{"input":["a","b"],"model":"m","user":"u"}""", "a|b")]
    [InlineData("""{"input":"a","unknown_field":{"deep":["b"]}}""", "a|b")]
    [InlineData("""{"fairlead":{"task":"x","webhook":{"url":"https://x"}},"input":"a"}""", "a")]
    [InlineData("""{"messages":[{"content":[{"type":"tool_use","id":"t","name":"f","input":{"id":"a"}}]}]}""", """f|{"id":"a"}""")]
    [InlineData("""{"messages":[{"content":[{"type":"thinking","thinking":"a","signature":"zzz"}]}]}""", "a")]
    [InlineData("""{"tools":[{"name":"f","description":"a","parameters":{"type":"object"}}],"tool_choice":{"name":"f"}}""", """f|a|{"type":"object"}""")]
    [InlineData("""{"input":[{"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"}]}""", "data:image/png;base64,")]
    [InlineData("""{"input":[{"type":"input_file","filename":"a.txt","file_data":"data:text/plain;base64,aGVsbG8="}]}""", "a.txt|hello")]
    [InlineData("""{"input":[{"type":"input_image","image_url":"https://example.com/a"}]}""", "https://example.com/a")]
    [InlineData("""{"input":"\ud800 lone"}""", "\uFFFD lone")]
    public void Read_Body_FindsContent(string json, string expected) =>
        Assert.Equal(expected, string.Join('|', ContentReader.Read(Encoding.UTF8.GetBytes(json)).Select(text => text.Value)));

    [Fact]
    public void Read_LongTextUnderName_IsContent()
    {
        var texts = ContentReader.Read(Encoding.UTF8.GetBytes($$"""{"id":"{{new string('x', 300)}}"}"""));
        Assert.Equal(300, Assert.Single(texts).Value.Length);
    }

    [Fact]
    public void Read_Arguments_AreJson()
    {
        var text = Assert.Single(ContentReader.Read("""{"arguments":"{\"a\":1}"}"""u8));
        Assert.Equal((ChannelKind.Json, """{"a":1}"""), (text.Kind, text.Value));
    }

    [Fact]
    public void Write_ChangedTexts_KeepsOtherBytes()
    {
        var json = """{ "model" : "m", "input":["one",  "two\u0041"], "n": 1.50, "file_data":"data:text/plain;base64,aGVsbG8gd29ybGQ=" }"""u8;
        var texts = ContentReader.Read(json);
        Assert.Equal(["one", "twoA", "hello world"], texts.Select(text => text.Value));
        using var output = new PooledBuffer();
        ContentWriter.Write(json, [(texts[0], "a \"quoted\"\n"), (texts[2], "bye")], output);
        Assert.Equal(
            """{ "model" : "m", "input":["a \"quoted\"\n",  "two\u0041"], "n": 1.50, "file_data":"data:text/plain;base64,Ynll" }""",
            Encoding.UTF8.GetString(output.WrittenSpan));
    }

    [Fact]
    public void Write_NothingChanged_IsEqual()
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(new { input = "a", b = new[] { 1, 2 } });
        using var output = new PooledBuffer();
        ContentWriter.Write(json, [], output);
        Assert.Equal(json, output.WrittenSpan.ToArray());
    }
}
