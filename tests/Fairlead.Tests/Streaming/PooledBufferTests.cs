using Fairlead.Streaming;

namespace Fairlead.Tests.Streaming;

public sealed class PooledBufferTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Of_ContentReplaced_LeavesOriginalArrayUnchanged(bool clears)
    {
        var content = "stored request"u8.ToArray();
        using var buffer = PooledBuffer.Of(content);
        if (clears) buffer.Clear();
        else buffer.Consume(buffer.Length);
        buffer.Write("other"u8);
        Assert.Equal("other"u8, buffer.WrittenSpan);
        Assert.Equal("stored request"u8, content);
    }

    [Fact]
    public void ToSharedArray_OfContent_ReturnsItWithoutCopy()
    {
        var content = "stored request"u8.ToArray();
        using var buffer = PooledBuffer.Of(content);
        Assert.Same(content, buffer.ToSharedArray());
    }
}
