using System.Text.Json;

namespace Fairlead.Dialects;

/// <summary>Reads the output of the model from responses that are forwarded in the dialect. Thread-safe.</summary>
internal interface INativeOutput
{
    /// <summary>Adds the output of a whole response.</summary>
    void ReadBody(JsonElement body, OutputCollector output);

    /// <summary>Adds the output of one event of a stream.</summary>
    void ReadEvent(JsonElement data, OutputCollector output);
}
