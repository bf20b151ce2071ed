using System.Buffers;
using System.Text;
using System.Text.Json;
using Fairlead.Delivery;
using Fairlead.Memory;
using Fairlead.Streaming;
using Fairlead.Tests.Auditing;

namespace Fairlead.Tests.Delivery;

public sealed class KeptStreamErrorTests
{
    [Fact]
    public void Overloaded_AsMessage_HasTypeAndStatusOfSocketErrors()
    {
        var text = Write(EventFormat.JsonLines);
        Assert.EndsWith("}\n", text, StringComparison.Ordinal);
        var message = JsonDocument.Parse(text).RootElement;
        Assert.Equal("error", message.GetProperty("type").GetString());
        Assert.Equal(503, message.GetProperty("status").GetInt32());
        Assert.Equal("overloaded", message.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public void Overloaded_AsServerSentEvent_IsTheErrorBody()
    {
        var text = Write(EventFormat.ServerSentEvents);
        Assert.StartsWith("event: error\ndata: {\"error\":", text, StringComparison.Ordinal);
        Assert.EndsWith("}\n\n", text, StringComparison.Ordinal);
    }

    private static string Write(EventFormat format)
    {
        var output = new ArrayBufferWriter<byte>();
        KeptStreams.Overloaded(RecordedCalls.New(), MemoryBudget.Overloaded, format, output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }
}
