using System.Globalization;
using System.Text;
using Fairlead.Errors;
using Fairlead.Streaming;

namespace Fairlead.Responses;

/// <summary>Writes an error as a message: the members of the HTTP error body, with its type and status.</summary>
internal static class SocketErrorEvent
{
    public static byte[] Of(GatewayError error, string requestId, PublicAddress site = default)
    {
        using var body = new PooledBuffer(1024);
        var status = ErrorBodyWriter.StatusOf(error, ErrorShape.OpenAi).ToString(CultureInfo.InvariantCulture);
        ErrorBodyWriter.WriteBody(body, error, ErrorShape.OpenAi, requestId, site);
        return [.. "{\"type\":\"error\",\"status\":"u8, .. Encoding.ASCII.GetBytes(status), .. ","u8, .. body.WrittenSpan[1..]];
    }
}
