using System.Reflection;
using System.Reflection.Emit;

namespace Fairlead.Tests;

/// <summary>Reads which members and strings the code of an assembly uses, for tests of borders between folders.</summary>
internal static class IlReader
{
    private const BindingFlags All =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<short, OpCode> Codes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!)
        .ToDictionary(code => code.Value);

    /// <summary>Every method that is called and every string that is loaded, with the outermost type of the code that does it.</summary>
    public static IEnumerable<(Type User, object Used)> UsesOf(Assembly assembly)
    {
        foreach (var type in assembly.GetTypes())
        {
            var user = type;
            while (user.DeclaringType is { } outer) user = outer;
            foreach (var method in type.GetMembers(All).OfType<MethodBase>())
            {
                if (method.GetMethodBody()?.GetILAsByteArray() is not { } code) continue;
                foreach (var used in UsesOf(method, code)) yield return (user, used);
            }
        }
    }

    private static IEnumerable<object> UsesOf(MethodBase method, byte[] code)
    {
        var typeArguments = method.DeclaringType is { IsGenericType: true } type ? type.GetGenericArguments() : null;
        var methodArguments = method is MethodInfo { IsGenericMethod: true } generic ? generic.GetGenericArguments() : null;
        for (var i = 0; i < code.Length;)
        {
            var opCode = code[i] == 0xFE ? Codes[unchecked((short)(0xFE00 | code[i + 1]))] : Codes[code[i]];
            i += opCode.Size;
            var operand = i;
            i += opCode.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + (4 * BitConverter.ToInt32(code, operand)),
                _ => 4,
            };
            if (opCode.OperandType == OperandType.InlineString)
            {
                yield return method.Module.ResolveString(BitConverter.ToInt32(code, operand));
            }
            if (opCode.OperandType == OperandType.InlineMethod
                && method.Module.ResolveMethod(BitConverter.ToInt32(code, operand), typeArguments, methodArguments) is { } called)
            {
                yield return called;
            }
        }
    }
}
