using System.Text;

namespace Fairlead.Configuration;

/// <summary>Replaces <c>${NAME}</c> and <c>${NAME:-default}</c> in values of the file; <c>$${</c> stands for a plain <c>${</c>.</summary>
internal static class EnvironmentReferences
{
    /// <summary>A copy of <paramref name="node"/> with every reference replaced; one error for each that cannot be.</summary>
    public static ConfigNode Replace(ConfigNode node, string path, IReadOnlyDictionary<string, string> environment,
        List<ConfigurationError> errors)
    {
        switch (node)
        {
            case ConfigMap map:
                var copy = new ConfigMap(map.Origin);
                foreach (var (key, value) in map.Entries)
                {
                    copy.TryAdd(key, Replace(value, path.Length == 0 ? key : $"{path}.{key}", environment, errors));
                }
                return copy;
            case ConfigList list:
                return new ConfigList([.. list.Items.Select((item, i) => Replace(item, $"{path}[{i}]", environment, errors))], list.Origin);
            case ConfigScalar { Value: { } text } scalar when text.Contains("${", StringComparison.Ordinal):
                return Replace(scalar, text, path, environment, errors);
            default:
                return node;
        }
    }

    private static ConfigScalar Replace(ConfigScalar scalar, string text, string path, IReadOnlyDictionary<string, string> environment,
        List<ConfigurationError> errors)
    {
        var result = new StringBuilder(text.Length);
        var position = 0;
        var isWrong = false;
        while (position < text.Length)
        {
            var start = text.IndexOf("${", position, StringComparison.Ordinal);
            if (start < 0) break;
            if (start > position && text[start - 1] == '$')
            {
                result.Append(text, position, start - 1 - position).Append("${");
                position = start + 2;
                continue;
            }
            result.Append(text, position, start - position);
            var end = text.IndexOf('}', start);
            if (end < 0)
            {
                Error("The reference to an environment variable is not closed.", "Add the missing '}', or write '$${' for a plain '${'.");
                return new ConfigScalar(text, scalar.Origin) { Unusable = true };
            }
            var reference = text[(start + 2)..end];
            var split = reference.IndexOf(":-", StringComparison.Ordinal);
            var name = split < 0 ? reference : reference[..split];
            if (name.Length == 0 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_'))
            {
                Error("The name of an environment variable may contain only letters, digits and '_'.",
                    "Correct the name inside '${…}', or write '$${' for a plain '${'.");
            }
            else if (split >= 0 && reference.Contains("${", StringComparison.Ordinal))
            {
                Error("A default cannot contain another reference.", "Write the default out, or refer to one variable.");
            }
            else if (environment.TryGetValue(name, out var value) && value.Length > 0)
            {
                result.Append(value);
            }
            else if (split >= 0)
            {
                result.Append(reference, split + 2, reference.Length - split - 2);
            }
            else
            {
                Error($"The environment variable {name} is not set.", $"Set {name}, or give a default: ${{{name}:-…}}.");
            }
            position = end + 1;
        }
        result.Append(text, position, text.Length - position);
        return new ConfigScalar(result.ToString(), scalar.Origin) { Written = text, Unusable = isWrong };

        void Error(string problem, string remedy)
        {
            isWrong = true;
            errors.Add(new(path, null, problem, remedy) { Source = scalar.Origin.Source, Line = scalar.Origin.Line });
        }
    }
}
