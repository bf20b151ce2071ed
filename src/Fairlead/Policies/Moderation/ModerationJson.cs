using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Fairlead.Policies.Moderation;

[JsonSerializable(typeof(JsonObject))]
internal sealed partial class ModerationJson : JsonSerializerContext;
