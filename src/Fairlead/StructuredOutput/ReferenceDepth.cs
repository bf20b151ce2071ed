namespace Fairlead.StructuredOutput;

/// <summary>
/// The number of schemas that lead from one to the next without a step into the value. Each is one more call on the stack while the value
/// is checked. A cycle of schemas has no end to be measured from; a check stops those by its own limit.
/// </summary>
internal static class ReferenceDepth
{
    public static int Of(IReadOnlyList<SchemaNode> schemas)
    {
        // From the ends inwards: a schema is measured when all that it leads to are.
        var waitsFor = new Dictionary<SchemaNode, int>(schemas.Count);
        var users = new Dictionary<SchemaNode, List<SchemaNode>>();
        var depths = new Dictionary<SchemaNode, int>(schemas.Count);
        var ready = new Queue<SchemaNode>();
        foreach (var schema in schemas)
        {
            var count = 0;
            foreach (var inner in schema.AtOneValue())
            {
                if (inner.IsNever || ReferenceEquals(inner, SchemaNode.Anything)) continue;
                count++;
                if (!users.TryGetValue(inner, out var list)) users[inner] = list = [];
                list.Add(schema);
            }
            depths[schema] = 1;
            waitsFor[schema] = count;
            if (count == 0) ready.Enqueue(schema);
        }
        var deepest = 0;
        while (ready.TryDequeue(out var next))
        {
            var depth = depths[next];
            deepest = Math.Max(deepest, depth);
            if (!users.TryGetValue(next, out var waiting)) continue;
            foreach (var user in waiting)
            {
                depths[user] = Math.Max(depths[user], depth + 1);
                if (--waitsFor[user] == 0) ready.Enqueue(user);
            }
        }
        return deepest;
    }
}
