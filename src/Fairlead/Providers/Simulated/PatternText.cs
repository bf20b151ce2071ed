using System.Text;
using Fairlead.StructuredOutput;

namespace Fairlead.Providers.Simulated;

/// <summary>
/// Creates a text that matches a simple regular expression: literals, classes, groups, alternatives, quantifiers. Unsupported expressions
/// return null.
/// </summary>
internal static class PatternText
{
    private const int MaxLength = 2000;

    /// <summary>A text that matches the pattern, or null.</summary>
    public static string? TryMake(SchemaPattern pattern, SimulatedRandom random)
    {
        // Rejects patterns without linear matching before any time is spent on them.
        if (!pattern.TryCompile()) return null;
        var reader = new Reader(pattern.Text, random);
        var made = reader.Alternatives(0);
        return made is not null && reader.AtEnd && pattern.IsMatch(made) == true ? made : null;
    }

    private sealed class Reader(string pattern, SimulatedRandom random)
    {
        private int _at;
        private int _made;

        public bool AtEnd => _at == pattern.Length;

        public string? Alternatives(int depth)
        {
            if (depth > 20) return null;
            var branches = new List<string>();
            do
            {
                if (Sequence(depth) is not { } branch) return null;
                branches.Add(branch);
            }
            while (Take('|'));
            return random.Pick(branches);
        }

        private string? Sequence(int depth)
        {
            var text = new StringBuilder();
            while (!AtEnd && pattern[_at] is not ('|' or ')'))
            {
                var start = _at;
                if (Atom(depth) is not { } atom) return null;
                var end = _at;
                var (min, max) = Quantifier();
                if (min < 0) return null;
                text.Append(atom);
                var times = min == max ? min : min + random.Below(Math.Min(max, min + 3) - min + 1);
                if (times == 0) text.Length -= atom.Length;
                var behind = _at;
                for (var i = 1; i < times; i++)
                {
                    // Read again, so that each round draws new values.
                    _at = start;
                    if (Atom(depth) is not { } next) return null;
                    text.Append(next);
                    if ((_made += next.Length + 1) > MaxLength) return null;
                }
                _at = Math.Max(behind, end);
            }
            return text.ToString();
        }

        private string? Atom(int depth)
        {
            var c = pattern[_at++];
            switch (c)
            {
                case '^' or '$': return "";
                case '.': return "x";
                case '(':
                    if (Take('?') && !Take(':')) return null;
                    var inner = Alternatives(depth + 1);
                    return inner is not null && Take(')') ? inner : null;
                case '[': return Class();
                case '\\': return AtEnd ? null : Escape(pattern[_at++]) is { } set ? random.Pick(set.ToCharArray()).ToString() : "";
                default: return c.ToString();
            }
        }

        private string? Class()
        {
            if (Take('^')) return null;
            var set = new StringBuilder();
            while (!AtEnd && pattern[_at] != ']')
            {
                var c = pattern[_at++];
                if (c == '\\')
                {
                    if (AtEnd) return null;
                    set.Append(Escape(pattern[_at++]));
                }
                else if (_at + 1 < pattern.Length && pattern[_at] == '-' && pattern[_at + 1] is not (']' or '\\'))
                {
                    var last = pattern[_at + 1];
                    _at += 2;
                    for (var i = c; i <= last && i < c + 128; i++) set.Append(i);
                }
                else
                {
                    set.Append(c);
                }
            }
            return Take(']') && set.Length > 0 ? set[random.Below(set.Length)].ToString() : null;
        }

        private static string? Escape(char c) => c switch
        {
            'd' => "0123456789",
            'w' => "abcdefghijklmnopqrstuvwxyz",
            's' => " ",
            'n' => "\n",
            't' => "\t",
            'b' or 'A' or 'z' or 'Z' => null,
            _ => c.ToString(),
        };

        private (int Min, int Max) Quantifier()
        {
            if (AtEnd) return (1, 1);
            var (min, max) = pattern[_at] switch { '?' => (0, 1), '*' => (0, 3), '+' => (1, 4), _ => (1, 1) };
            if (pattern[_at] is '?' or '*' or '+')
            {
                _at++;
            }
            else if (pattern[_at] == '{')
            {
                var close = pattern.IndexOf('}', _at);
                if (close < 0) return (-1, -1);
                var bounds = pattern[(_at + 1)..close].Split(',');
                if (!int.TryParse(bounds[0], out min)) return (-1, -1);
                max = bounds.Length == 1 ? min : int.TryParse(bounds[1], out var upper) ? upper : min + 3;
                if (min > MaxLength || max < min) return (-1, -1);
                _at = close + 1;
            }
            Take('?');
            return (min, max);
        }

        private bool Take(char c)
        {
            if (AtEnd || pattern[_at] != c) return false;
            _at++;
            return true;
        }
    }
}
