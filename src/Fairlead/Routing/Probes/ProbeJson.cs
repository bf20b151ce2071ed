using System.Text.Json.Serialization;

namespace Fairlead.Routing.Probes;

[JsonSerializable(typeof(string))]
internal sealed partial class ProbeJson : JsonSerializerContext;
