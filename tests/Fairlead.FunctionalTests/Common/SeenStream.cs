using System.Text;
using System.Text.Json;

namespace Fairlead.FunctionalTests.Common;

/// <summary>A server-sent event as a test sees it.</summary>
public sealed record SeenEvent(string? Id, string? Name, string Data)
{
    public JsonElement Json => JsonDocument.Parse(Data).RootElement;
}

/// <summary>Reads a stream to its end, or to where it broke.</summary>
public sealed record SeenStream(IReadOnlyList<SeenEvent> Events, bool Broken, string Raw)
{
    public static async Task<SeenStream> ReadAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var raw = new StringBuilder();
        var broken = false;
        try
        {
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancellationToken));
            var buffer = new char[4096];
            while (await reader.ReadAsync(buffer, cancellationToken) is var read and > 0) raw.Append(buffer, 0, read);
        }
        catch (Exception exception) when (exception is IOException or HttpRequestException)
        {
            broken = true;
        }
        var events = new List<SeenEvent>();
        foreach (var block in raw.ToString().Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            string? id = null, name = null, data = null;
            foreach (var line in block.Split('\n'))
            {
                if (line.StartsWith("id: ", StringComparison.Ordinal)) id = line[4..];
                if (line.StartsWith("event: ", StringComparison.Ordinal)) name = line[7..];
                if (line.StartsWith("data: ", StringComparison.Ordinal)) data = data is null ? line[6..] : data + "\n" + line[6..];
            }
            if (data is not null) events.Add(new SeenEvent(id, name, data));
        }
        return new SeenStream(events, broken, raw.ToString());
    }
}
